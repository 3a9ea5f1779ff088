"""ganzoo: generative adversarial networks that can be read, trained, measured and compared.

Every variant, data module, network, callback and logger is here by name; `__init__.pyi` is the list. Names are imported
when first used, so that `import ganzoo` and `ganzoo --help` do not wait for torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
