"""Generators and discriminators: float32 images in [-1, 1] and float32 logits out, whatever autocast does inside."""
