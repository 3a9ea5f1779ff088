"""DCGAN: Radford, Metz, Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks", 2015, https://arxiv.org/abs/1511.06434"""

from ganzoo.duel import DiscriminatorClass, GeneratorClass
from ganzoo.models.gan import GAN
from ganzoo.networks.dcgan import DCGANDiscriminator, DCGANGenerator


class DCGAN(GAN):
    """The GAN with strided convolutions and batch normalisation: the paper is its networks, and Adam with beta1 = 0.5.

    Differences from the paper: the base width is 64, as in the authors' code, where figure 1 draws 128; z is Gaussian, where
    the paper's is uniform; D's cost has the factor 1/2, which Adam does not feel.
    """

    default_generator: GeneratorClass = DCGANGenerator
    default_discriminator: DiscriminatorClass = DCGANDiscriminator
