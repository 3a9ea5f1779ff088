"""Where GAN theory can be seen: what it says in numbers, a game observed on data of known density, and the pictures."""
