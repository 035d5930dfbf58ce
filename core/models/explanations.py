"""What each option of a network does and why, in a few sentences, with the section of the paper that it comes from.

Where a paper is named, it says so; what the lab does otherwise is called the lab's.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paper:
    """A paper by its short name and its number on arXiv."""

    name: str
    arxiv: str


FCN = Paper("Long et al.", "1411.4038")
UNET = Paper("Ronneberger et al.", "1505.04597")
VIT = Paper("Dosovitskiy et al.", "2010.11929")
SETR = Paper("Zheng et al., SETR", "2012.15840")
SEGMENTER = Paper("Strudel et al., Segmenter", "2105.05633")
BATCH_NORM = Paper("Ioffe and Szegedy", "1502.03167")
GROUP_NORM = Paper("Wu and He", "1803.08494")
DROP_PATH = Paper("Huang et al.", "1603.09382")
CHECKPOINTING = Paper("Chen et al.", "1604.06174")
VITDET = Paper("Li et al., ViTDet", "2203.16527")
MOBILENET_V4 = Paper("Qin et al.", "2404.10518")
REPVIT = Paper("Wang et al.", "2307.09283")
TRANSFERABLE = Paper("Yosinski et al.", "1411.1792")
FLEXIVIT = Paper("Beyer et al., FlexiViT", "2212.08013")
DEEPLAB = Paper("Chen et al., DeepLab", "1606.00915")
SWIN_V2 = Paper("Liu et al.", "2111.09883")
EFFICIENTNET = Paper("Tan and Le", "1905.11946")
RESNET = Paper("He et al.", "1512.03385")
VGG = Paper("Simonyan and Zisserman", "1409.1556")
CONVNEXT = Paper("Liu et al.", "2201.03545")
DINOV2 = Paper("Oquab et al.", "2304.07193")
DINOV3 = Paper("Siméoni et al.", "2508.10104")


@dataclass(frozen=True)
class Explanation:
    """Sentences for a student, and where to read on; `section` may be empty for a paper as a whole."""

    text: str
    paper: Paper | None = None
    section: str = ""

    @property
    def markdown(self) -> str:
        """The sentences with a link to the paper behind them."""
        if not self.paper:
            return self.text
        where = f"{self.paper.name}, {self.section}" if self.section else self.paper.name
        return f"{self.text} [{where}](https://arxiv.org/abs/{self.paper.arxiv})"


ANY = object()
"""Stands for every value of an option that has no explanation of its own."""

EXPLANATIONS: dict[tuple[str, Any], Explanation] = {
    # encoders
    ("encoder", "tf_efficientnet_lite0"): Explanation(
        "EfficientNet scales depth, width and resolution together from one small network, found by a search. The Lite"
        " variant is a later one, not in the paper: without squeeze-and-excitation and swish, which small processors"
        " are slow at.",
        EFFICIENTNET,
        "sections 3 and 4",
    ),
    ("encoder", "resnet18"): Explanation(
        "Two convolutions a block, and a shortcut around each block, so that it only has to learn what to change. The"
        " shortcuts let much deeper networks be trained. This is the shallowest that the paper trains on ImageNet.",
        RESNET,
        "sections 3.1 and 4.1",
    ),
    ("encoder", "resnet50"): Explanation(
        "The same shortcuts around blocks of three convolutions: 1x1 to fewer channels, 3x3, and 1x1 back. This"
        " bottleneck makes 50 layers affordable.",
        RESNET,
        "section 4.1",
    ),
    ("encoder", "mobilenetv4_conv_medium"): Explanation(
        "Built for phones: blocks of depthwise convolutions, before, within and after a widening of the channels, found"
        " by a search that asked for few operations and little traffic with the memory on many kinds of processors.",
        MOBILENET_V4,
        "sections 4 and 5",
    ),
    ("encoder", "repvit_m0_9"): Explanation(
        "A mobile network laid out as a Vision Transformer is: one part mixes neighbouring pixels, the next mixes"
        " channels. It begins at stride 4, and was taught by a larger network.",
        REPVIT,
        "section 3",
    ),
    ("encoder", "vgg16"): Explanation(
        "Stacks of 3x3 convolutions, and between them pooling that halves the map. Slow and large by today's measure,"
        " but the network with which the FCN's authors had their best results.",
        VGG,
        "section 2",
    ),
    ("encoder", "convnext_tiny"): Explanation(
        "A ResNet brought up to date step by step with what Vision Transformers do: patches at the entrance, 7x7"
        " depthwise convolutions, fewer activations and norms. It begins at stride 4.",
        CONVNEXT,
        "section 2",
    ),
    ("encoder", "swinv2_tiny_window8_256"): Explanation(
        "A transformer with a pyramid: patches look at each other within windows that shift from block to block, and"
        " are merged from stage to stage. Version 2 measures likeness by the cosine and spaces relative positions"
        " logarithmically.",
        SWIN_V2,
        "sections 3.1 to 3.3",
    ),
    ("encoder", "plain"): Explanation(
        "No encoder from elsewhere, but the network of the paper's figure 1, learned from nothing. At every level two"
        " 3x3 convolutions, then 2x2 pooling, and twice the channels.",
        UNET,
        "section 2, figure 1",
    ),
    ("encoder", "vit_small_patch14_dinov2"): Explanation(
        "A small ViT with patches of 14 pixels that learned from 142 million pictures without labels. Its patch"
        " features can be read by a linear layer.",
        DINOV2,
        "sections 3 and 7",
    ),
    ("encoder", "vit_small_patch16_dinov3"): Explanation(
        "DINOv2's successor, with patches of 16 pixels. It was distilled from a much larger network that was trained,"
        " without labels, to keep its patch features sharp.",
        DINOV3,
        "sections 4 and 5",
    ),
    ("encoder", "vit_tiny_patch16_224"): Explanation(
        "The smallest plain ViT here: patches of 16 pixels, 192 channels, 12 blocks. Its position embeddings are"
        " interpolated to your picture's grid of patches.",
        VIT,
        "sections 3.1 and 3.2",
    ),
    ("encoder", "vit_small_patch16_224"): Explanation(
        "A plain ViT with patches of 16 pixels, 384 channels and 12 blocks. Its position embeddings are interpolated to"
        " your picture's grid of patches.",
        VIT,
        "sections 3.1 and 3.2",
    ),
    ("encoder", ANY): Explanation(
        "A network of the library timm, without its classifier. The figures and the drawing are those of the module"
        " that timm builds."
    ),
    ("freeze", 0.0): Explanation(
        "All of the encoder learns too. The FCN's authors fine-tune all layers, since training the output alone gave"
        " only 70 % of the score.",
        FCN,
        "section 4.3",
    ),
    ("freeze", 1.0): Explanation(
        "The encoder keeps its first weights, and only what stands on it learns: steps are faster and need less memory."
        " It makes sense with pretrained weights only. In the FCN's paper it reached 70 % of the score.",
        FCN,
        "section 4.3",
    ),
    ("freeze", ANY): Explanation(
        "The first layers keep what they know of edges and textures, which is much the same for all pictures; the later"
        " ones, which know things, learn. Gradients end where the frozen part begins, so steps take less time. It makes"
        " sense with pretrained weights only.",
        TRANSFERABLE,
        "sections 3 and 4",
    ),
    ("head_only", False): Explanation("All layers learn, but for those of the encoder that are frozen."),
    ("head_only", True): Explanation(
        "Only layers that have something for each class learn; all others keep the weights that they start with. It"
        " tells how much of a task the features of another one know already, and makes sense for a network that starts"
        " from a run.",
        TRANSFERABLE,
        "section 1",
    ),
    # FCN
    ("dilated_head", False): Explanation(
        "Scores of finer strides are added to the coarsest, as in the paper: FCN-32s, FCN-16s or FCN-8s.",
        FCN,
        "section 4.2",
    ),
    ("dilated_head", True): Explanation(
        "FCN-D6: instead of finer scores, two convolutions dilated by 6 look far around each cell, and the encoder's"
        " last stage is dilated too, so that its map stays at stride 16. Dilation is DeepLab's; the head is"
        " MMSegmentation's, where it takes a ResNet-50 from a mean IoU of 72.3 to 77.1 on Cityscapes.",
        DEEPLAB,
        "section 3.1",
    ),
    ("stride", 32): Explanation(
        "FCN-32s: one score for every 32 x 32 pixels, then interpolated. What is thinner, such as a pole, leaves hardly"
        " a trace. The paper's coarsest network, with a mean IoU of 59.4 on PASCAL VOC.",
        FCN,
        "section 4.2, table 2",
    ),
    ("stride", 16): Explanation(
        "FCN-16s: scores from stride 16 are added to those of stride 32, which are enlarged by a learned upsampling"
        " that begins as bilinear. In the paper this took the mean IoU from 59.4 to 62.4.",
        FCN,
        "section 4.2, table 2",
    ),
    ("stride", 8): Explanation(
        "FCN-8s: scores from stride 16 and from stride 8 are added, coarse to fine. The deep layers say what, the early"
        " ones where. In the paper the last step from 16 to 8 gained little, 62.4 to 62.7.",
        FCN,
        "section 4.2, table 2",
    ),
    ("fc_width", 0): Explanation(
        "Without fc6 and fc7: the scores are taken from the last convolution of VGG itself. Far fewer parameters; what"
        " the classifier knew beyond its convolutions is given up. The paper keeps both.",
        FCN,
        "section 4.1",
    ),
    ("fc_width", ANY): Explanation(
        "VGG's two fully connected layers become convolutions, fc6 of 7x7 and fc7 of 1x1, with 4096 channels in the"
        " paper. Most of the parameters are here; only at 4096 do they fit VGG's own weights.",
        FCN,
        "sections 3.1 and 4.1",
    ),
    # U-Net
    ("upsample", "auto"): Explanation(
        "The lab chooses: a transposed convolution for the plain U-Net, as in the paper, and nearest on an encoder,"
        " which got further in the lab's short trainings.",
        UNET,
        "section 2",
    ),
    ("upsample", "transposed"): Explanation(
        "A 2x2 up-convolution with stride two: it doubles the map, halves the channels in the plain U-Net, and learns"
        " how. This is the paper's way.",
        UNET,
        "section 2",
    ),
    ("upsample", "bilinear"): Explanation(
        "New cells are blended from their neighbours. There is nothing to learn here; the two convolutions behind it do"
        " that. Unlike in the paper, the channels are not halved before the skip is joined."
    ),
    ("upsample", "nearest"): Explanation(
        "Every cell becomes four equal ones. There is nothing to learn here; the two convolutions behind it do that."
        " Unlike in the paper, the channels are not halved before the skip is joined."
    ),
    ("norm", "batch"): Explanation(
        "Each channel is brought to mean 0 and variance 1 over the pictures of a step and all their pixels, then scaled"
        " by learned numbers. Higher learning rates become safe. The U-Net's paper is older and has none.",
        BATCH_NORM,
        "section 3",
    ),
    ("norm", "group"): Explanation(
        "Mean and variance are taken within one picture, over groups of channels. So it does not matter how many"
        " pictures a step has, which helps when memory allows few.",
        GROUP_NORM,
        "section 3",
    ),
    ("norm", "none"): Explanation(
        "As in the paper, which relies on good first weights instead: drawn with a spread of the root of 2/N, so that"
        " every map begins with about unit variance.",
        UNET,
        "section 3",
    ),
    ("score_levels", "all"): Explanation(
        "Every level of the path up gives scores, and they are summed from coarse to fine, as FCN does with its three."
        " The deep levels then learn from the first step on. The U-Net's paper scores the finest level alone.",
        FCN,
        "section 4.2",
    ),
    ("score_levels", "finest"): Explanation(
        "One 1x1 convolution scores the finest level, as in the paper. What the deep levels know reaches the scores"
        " only through all the levels above them.",
        UNET,
        "section 2",
    ),
    ("width", ANY): Explanation(
        "How many channels the first level has; each level down doubles them, and the paper begins with 64. Twice the"
        " width is about four times the parameters and the arithmetic.",
        UNET,
        "section 2, figure 1",
    ),
    ("depth", ANY): Explanation(
        "How often the map is halved, four times in the paper. Each level about doubles what the deepest cell can see"
        " of the picture, and about quadruples the parameters.",
        UNET,
        "section 2, figure 1",
    ),
    ("padding", "same"): Explanation(
        "Zeros around every map keep its size, so that the maps of both paths fit without cropping. The paper does not"
        " pad; most later code does."
    ),
    ("padding", "valid"): Explanation(
        "Every 3x3 convolution takes a rim of one pixel away, so maps from the way down are cropped, and the picture is"
        " mirrored beyond its rim to have an answer everywhere. That costs memory and time.",
        UNET,
        "sections 1 and 2, figure 2",
    ),
    ("dropout", 0.0): Explanation(
        "Nothing is dropped. That is right for short trainings, which hardly get to learn by heart."
    ),
    ("dropout", "fcn"): Explanation(
        "In training, this share of the activations behind fc6 and fc7 is set to zero, so that no score hangs on a"
        " single one. The paper keeps dropout where the classifier had it; VGG has 0.5.",
        FCN,
        "section 4.3",
    ),
    ("dropout", "unet"): Explanation(
        "In training, this share of the activations in the deepest part is set to zero. The paper does it at the end of"
        " the contracting path and calls it a further, implicit augmentation of the data.",
        UNET,
        "section 3.1",
    ),
    # ViT
    ("head", "linear"): Explanation(
        "One linear layer scores each patch by itself, and the map of scores is enlarged bilinearly. Hardly any"
        " parameters: what you see is what the encoder knows.",
        SEGMENTER,
        "section 3.2",
    ),
    ("head", "mask"): Explanation(
        "Each class has a learned vector that goes through two more blocks together with the patches; a class's mask is"
        " its scalar product with every patch. The paper finds it better than the linear head.",
        SEGMENTER,
        "section 3.2",
    ),
    ("head", "pup"): Explanation(
        "Progressive upsampling: convolution and doubling take turns, four times, instead of one large step that may"
        " bring noise. Outlines can be drawn finer than a patch, for much more arithmetic.",
        SETR,
        "section 3.3",
    ),
    ("head_blocks", 1): Explanation(
        "The head sees what the last block says of each patch, as Segmenter and SETR have it.",
        SEGMENTER,
        "section 3.2",
    ),
    ("head_blocks", 4): Explanation(
        "The head sees what each of the last four blocks says of a patch, side by side. Earlier blocks still know where"
        " things end, so that the head is sooner good; it has four times the weights, which is next to nothing.",
        DINOV2,
        "section 7.4",
    ),
    ("patch_size", 0): Explanation("The patches that the encoder was pretrained with."),
    ("patch_size", ANY): Explanation(
        "The picture is cut into other patches than the encoder knows: the weights that read a patch are resampled to"
        " its size. Half of the side makes four times as many patches, which see finer and take far longer.",
        FLEXIVIT,
        "section 3.4",
    ),
    ("drop_path", 0.0): Explanation("Every block takes part in every step."),
    ("drop_path", ANY): Explanation(
        "In training, whole residual branches are left out at random, the last ones most often, the first hardly ever."
        " A deep network is trained as many shorter ones; in prediction all of it is used.",
        DROP_PATH,
        "section 3",
    ),
    ("grad_checkpointing", False): Explanation(
        "Every activation is kept from the forward pass for the backward pass: fastest, where there is memory enough."
    ),
    ("grad_checkpointing", True): Explanation(
        "Only what enters each block is kept; the rest is computed again when the backward pass needs it. Much less"
        " memory, for about one more forward pass a step. The gradients are the same.",
        CHECKPOINTING,
        "section 4",
    ),
}

PYRAMID_ON_VIT = Explanation(
    "A plain ViT has maps at one size only. Its last one is enlarged and shrunk to a pyramid of four, on which the path"
    " up can stand.",
    VITDET,
    "section 3",
)


def explanation(option: str, value: Any, family: str = "") -> Explanation | None:
    """Return what an option does at a value; for one that families share, the family's own words.

    None where nothing is known.
    """
    for key in (value, family, ANY):
        if (option, key) in EXPLANATIONS:
            return EXPLANATIONS[option, key]
    return None
