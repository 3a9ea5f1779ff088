from .callbacks.checkpoints import Checkpoints as Checkpoints
from .callbacks.evaluation import Evaluation as Evaluation
from .callbacks.progress import ProgressBar as ProgressBar
from .callbacks.samples import SampleGrid as SampleGrid
from .data.base import DataModule as DataModule
from .data.folder import CelebA as CelebA
from .data.folder import ImageFolder as ImageFolder
from .data.images import CIFAR10 as CIFAR10
from .data.images import MNIST as MNIST
from .data.images import Digits as Digits
from .data.images import FashionMNIST as FashionMNIST
from .data.shards import Shards as Shards
from .data.toy import Gaussians as Gaussians
from .game import Game as Game
from .loading import load as load
from .loggers import TensorBoard as TensorBoard
from .loggers import Wandb as Wandb
from .models.dcgan import DCGAN as DCGAN
from .models.dragan import DRAGAN as DRAGAN
from .models.fgan import FGAN as FGAN
from .models.gan import GAN as GAN
from .models.lsgan import LSGAN as LSGAN
from .models.pacgan import PacGAN as PacGAN
from .models.r1_gan import R1GAN as R1GAN
from .models.ragan import RaGAN as RaGAN
from .models.unrolled_gan import UnrolledGAN as UnrolledGAN
from .models.wgan import WGAN as WGAN
from .models.wgan_gp import WGANGP as WGANGP
from .networks.dcgan import DCGANDiscriminator as DCGANDiscriminator
from .networks.dcgan import DCGANGenerator as DCGANGenerator
from .networks.mlp import MLPDiscriminator as MLPDiscriminator
from .networks.mlp import MLPGenerator as MLPGenerator
from .networks.resnet import ResNetDiscriminator as ResNetDiscriminator
from .networks.resnet import ResNetGenerator as ResNetGenerator
from .strategy import UnwrappedDDP as UnwrappedDDP

__all__: list[str]
__version__: str
