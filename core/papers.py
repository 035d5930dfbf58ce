"""The papers that the lab rests on: cited by tables and explanations, and listed by a report that names them.

Bibliographic facts as the papers' own pages in the proceedings or on arXiv give them.
"""

from dataclasses import dataclass
from typing import Literal

from core.text import join_items


@dataclass(frozen=True)
class Reference:
    """An entry of the bibliography.

    Attributes:
        key: by which it is cited.
        authors: `Family, Given`, in order; a last one called `others` stands for the rest.
        title: with braces around what keeps its capitals.
        venue: proceedings, journal or, for a `misc`, how it was published.
        year: of publication.
        arxiv: its number there, or empty.
        kind: of BibTeX.
        where: further fields, as volume and pages.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    arxiv: str = ""
    kind: Literal["inproceedings", "article", "misc"] = "inproceedings"
    where: tuple[tuple[str, str], ...] = ()

    @property
    def plain_title(self) -> str:
        return self.title.replace("{", "").replace("}", "")

    @property
    def author_text(self) -> str:
        """`J. Long, E. Shelhamer and T. Darrell`."""
        names = []
        for author in self.authors:
            family, _, given = author.partition(", ")
            initials = " ".join(f"{part[0]}." for part in given.replace("-", " -").split() if part[0] != "-")
            names.append(f"{initials} {family}".strip() if given else "et al." if family == "others" else family)
        if names[-1] == "et al.":
            return f"{', '.join(names[:-1])} et al."
        return join_items(names)

    @property
    def address(self) -> str:
        """Where it can be read, or empty."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""

    @property
    def venue_text(self) -> str:
        """`CVPR, pages 3431-3440, 2015`."""
        more = dict(self.where)
        parts = [self.venue.replace("{", "").replace("}", "")]
        if "volume" in more:
            parts.append(more["volume"] + (f"({more['number']})" if "number" in more else ""))
        if "pages" in more:
            parts.append(f"pages {more['pages'].replace('--', '–')}")
        return f"{', '.join(parts)}, {self.year}"

    @property
    def bibtex(self) -> str:
        holder = {"inproceedings": "booktitle", "article": "journal", "misc": "howpublished"}[self.kind]
        fields = {
            "author": " and ".join(self.authors),
            "title": self.title,
            holder: self.venue,
            **dict(self.where),
            "year": str(self.year),
        }
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv", "url": self.address}
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}}}\n"


CVPR = "{IEEE} Conference on Computer Vision and Pattern Recognition ({CVPR})"
ICCV = "{IEEE} International Conference on Computer Vision ({ICCV})"
ECCV = "European Conference on Computer Vision ({ECCV})"
ICML = "International Conference on Machine Learning ({ICML})"
ICLR = "International Conference on Learning Representations ({ICLR})"


def _entry(
    key: str,
    authors: str,
    title: str,
    venue: str,
    year: int,
    arxiv: str = "",
    kind: Literal["inproceedings", "article", "misc"] = "inproceedings",
    **where: str,
) -> Reference:
    return Reference(key, tuple(authors.split("; ")), title, venue, year, arxiv, kind, tuple(where.items()))


_ENTRIES = (
    # networks
    _entry("long2015fcn", "Long, Jonathan; Shelhamer, Evan; Darrell, Trevor", "Fully Convolutional Networks for Semantic Segmentation", CVPR, 2015, "1411.4038", pages="3431--3440"),
    _entry("ronneberger2015unet", "Ronneberger, Olaf; Fischer, Philipp; Brox, Thomas", "{U-Net}: Convolutional Networks for Biomedical Image Segmentation", "Medical Image Computing and Computer-Assisted Intervention ({MICCAI})", 2015, "1505.04597", pages="234--241"),
    _entry("dosovitskiy2021vit", "Dosovitskiy, Alexey; Beyer, Lucas; Kolesnikov, Alexander; Weissenborn, Dirk; Zhai, Xiaohua; Unterthiner, Thomas; Dehghani, Mostafa; Minderer, Matthias; Heigold, Georg; Gelly, Sylvain; Uszkoreit, Jakob; Houlsby, Neil", "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR, 2021, "2010.11929"),
    _entry("zheng2021setr", "Zheng, Sixiao; Lu, Jiachen; Zhao, Hengshuang; Zhu, Xiatian; Luo, Zekun; Wang, Yabiao; Fu, Yanwei; Feng, Jianfeng; Xiang, Tao; Torr, Philip H. S.; Zhang, Li", "Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with Transformers", CVPR, 2021, "2012.15840"),
    _entry("strudel2021segmenter", "Strudel, Robin; Garcia, Ricardo; Laptev, Ivan; Schmid, Cordelia", "Segmenter: Transformer for Semantic Segmentation", ICCV, 2021, "2105.05633"),
    _entry("li2022vitdet", "Li, Yanghao; Mao, Hanzi; Girshick, Ross; He, Kaiming", "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV, 2022, "2203.16527"),
    # encoders
    _entry("tan2019efficientnet", "Tan, Mingxing; Le, Quoc V.", "{EfficientNet}: Rethinking Model Scaling for Convolutional Neural Networks", ICML, 2019, "1905.11946"),
    _entry("he2016resnet", "He, Kaiming; Zhang, Xiangyu; Ren, Shaoqing; Sun, Jian", "Deep Residual Learning for Image Recognition", CVPR, 2016, "1512.03385", pages="770--778"),
    _entry("simonyan2015vgg", "Simonyan, Karen; Zisserman, Andrew", "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR, 2015, "1409.1556"),
    _entry("liu2022convnext", "Liu, Zhuang; Mao, Hanzi; Wu, Chao-Yuan; Feichtenhofer, Christoph; Darrell, Trevor; Xie, Saining", "A {ConvNet} for the 2020s", CVPR, 2022, "2201.03545"),
    _entry("liu2022swinv2", "Liu, Ze; Hu, Han; Lin, Yutong; Yao, Zhuliang; Xie, Zhenda; Wei, Yixuan; Ning, Jia; Cao, Yue; Zhang, Zheng; Dong, Li; Wei, Furu; Guo, Baining", "{Swin Transformer V2}: Scaling Up Capacity and Resolution", CVPR, 2022, "2111.09883"),
    _entry("oquab2024dinov2", "Oquab, Maxime; Darcet, Timothée; Moutakanni, Théo; Vo, Huy; Szafraniec, Marc; Khalidov, Vasil; others", "{DINOv2}: Learning Robust Visual Features without Supervision", "Transactions on Machine Learning Research", 2024, "2304.07193", "article"),
    _entry("simeoni2025dinov3", "Siméoni, Oriane; others", "{DINOv3}", "arXiv preprint 2508.10104", 2025, "2508.10104", "misc"),
    _entry("deng2009imagenet", "Deng, Jia; Dong, Wei; Socher, Richard; Li, Li-Jia; Li, Kai; Fei-Fei, Li", "{ImageNet}: A Large-Scale Hierarchical Image Database", CVPR, 2009, pages="248--255"),
    # parts of networks
    _entry("ioffe2015batchnorm", "Ioffe, Sergey; Szegedy, Christian", "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML, 2015, "1502.03167"),
    _entry("wu2018groupnorm", "Wu, Yuxin; He, Kaiming", "Group Normalization", ECCV, 2018, "1803.08494"),
    _entry("huang2016stochastic", "Huang, Gao; Sun, Yu; Liu, Zhuang; Sedra, Daniel; Weinberger, Kilian Q.", "Deep Networks with Stochastic Depth", ECCV, 2016, "1603.09382"),
    _entry("chen2016sublinear", "Chen, Tianqi; Xu, Bing; Zhang, Chiyuan; Guestrin, Carlos", "Training Deep Nets with Sublinear Memory Cost", "arXiv preprint 1604.06174", 2016, "1604.06174", "misc"),
    # learning
    _entry("loshchilov2019adamw", "Loshchilov, Ilya; Hutter, Frank", "Decoupled Weight Decay Regularization", ICLR, 2019, "1711.05101"),
    _entry("kingma2015adam", "Kingma, Diederik P.; Ba, Jimmy", "Adam: A Method for Stochastic Optimization", ICLR, 2015, "1412.6980"),
    _entry("smith2017superconvergence", "Smith, Leslie N.; Topin, Nicholay", "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", "arXiv preprint 1708.07120", 2017, "1708.07120", "misc"),
    _entry("chen2018deeplab", "Chen, Liang-Chieh; Papandreou, George; Kokkinos, Iasonas; Murphy, Kevin; Yuille, Alan L.", "{DeepLab}: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected {CRFs}", "{IEEE} Transactions on Pattern Analysis and Machine Intelligence", 2018, "1606.00915", "article", volume="40", number="4", pages="834--848"),
    _entry("loshchilov2017sgdr", "Loshchilov, Ilya; Hutter, Frank", "{SGDR}: Stochastic Gradient Descent with Warm Restarts", ICLR, 2017, "1608.03983"),
    _entry("bao2022beit", "Bao, Hangbo; Dong, Li; Piao, Songhao; Wei, Furu", "{BEiT}: {BERT} Pre-Training of Image Transformers", ICLR, 2022, "2106.08254"),
    _entry("lin2017focal", "Lin, Tsung-Yi; Goyal, Priya; Girshick, Ross; He, Kaiming; Dollár, Piotr", "Focal Loss for Dense Object Detection", ICCV, 2017, "1708.02002"),
    _entry("shrivastava2016ohem", "Shrivastava, Abhinav; Gupta, Abhinav; Girshick, Ross", "Training Region-Based Object Detectors with Online Hard Example Mining", CVPR, 2016, "1604.03540"),
    _entry("milletari2016vnet", "Milletari, Fausto; Navab, Nassir; Ahmadi, Seyed-Ahmad", "{V-Net}: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation", "International Conference on {3D} Vision ({3DV})", 2016, "1606.04797"),
    _entry("berman2018lovasz", "Berman, Maxim; Rannen Triki, Amal; Blaschko, Matthew B.", "The {Lovász-Softmax} Loss: A Tractable Surrogate for the Optimization of the Intersection-Over-Union Measure in Neural Networks", CVPR, 2018, "1705.08790"),
    _entry("eigen2015predicting", "Eigen, David; Fergus, Rob", "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional Architecture", ICCV, 2015, "1411.4734"),
    _entry("paszke2016enet", "Paszke, Adam; Chaurasia, Abhishek; Kim, Sangpil; Culurciello, Eugenio", "{ENet}: A Deep Neural Network Architecture for Real-Time Semantic Segmentation", "arXiv preprint 1606.02147", 2016, "1606.02147", "misc"),
    _entry("szegedy2016inception", "Szegedy, Christian; Vanhoucke, Vincent; Ioffe, Sergey; Shlens, Jonathon; Wojna, Zbigniew", "Rethinking the {Inception} Architecture for Computer Vision", CVPR, 2016, "1512.00567"),
    # data and measures
    _entry("cordts2016cityscapes", "Cordts, Marius; Omran, Mohamed; Ramos, Sebastian; Rehfeld, Timo; Enzweiler, Markus; Benenson, Rodrigo; Franke, Uwe; Roth, Stefan; Schiele, Bernt", "The {Cityscapes} Dataset for Semantic Urban Scene Understanding", CVPR, 2016, "1604.01685", pages="3213--3223"),
    _entry("csurka2013measure", "Csurka, Gabriela; Larlus, Diane; Perronnin, Florent", "What is a Good Evaluation Measure for Semantic Segmentation?", "British Machine Vision Conference ({BMVC})", 2013),
    _entry("guo2017calibration", "Guo, Chuan; Pleiss, Geoff; Sun, Yu; Weinberger, Kilian Q.", "On Calibration of Modern Neural Networks", ICML, 2017, "1706.04599"),
    _entry("hendrycks2019robustness", "Hendrycks, Dan; Dietterich, Thomas", "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR, 2019, "1903.12261"),
    _entry("efron1979bootstrap", "Efron, Bradley", "Bootstrap Methods: Another Look at the Jackknife", "The Annals of Statistics", 1979, "", "article", volume="7", number="1", pages="1--26"),
    _entry("carlstein1986subseries", "Carlstein, Edward", "The Use of Subseries Values for Estimating the Variance of a General Statistic from a Stationary Sequence", "The Annals of Statistics", 1986, "", "article", volume="14", number="3", pages="1171--1179"),
    _entry("andrews1991covariance", "Andrews, Donald W. K.", "Heteroskedasticity and Autocorrelation Consistent Covariance Matrix Estimation", "Econometrica", 1991, "", "article", volume="59", number="3", pages="817--858"),
    # programs
    _entry("paszke2019pytorch", "Paszke, Adam; Gross, Sam; Massa, Francisco; Lerer, Adam; Bradbury, James; others", "{PyTorch}: An Imperative Style, High-Performance Deep Learning Library", "Advances in Neural Information Processing Systems ({NeurIPS})", 2019, "1912.01703"),
    _entry("wightman2019timm", "Wightman, Ross", "{PyTorch} Image Models", "GitHub repository huggingface/pytorch-image-models", 2019, "", "misc"),
    _entry("akiba2019optuna", "Akiba, Takuya; Sano, Shotaro; Yanase, Toshihiko; Ohta, Takeru; Koyama, Masanori", "Optuna: A Next-Generation Hyperparameter Optimization Framework", "{ACM} {SIGKDD} International Conference on Knowledge Discovery and Data Mining", 2019, "1907.10902"),
)  # fmt: skip

REFERENCES: dict[str, Reference] = {entry.key: entry for entry in _ENTRIES}
KEY_BY_ARXIV: dict[str, str] = {entry.arxiv: entry.key for entry in _ENTRIES if entry.arxiv}


def bibliography(keys: tuple[str, ...]) -> str:
    """Return references.bib: the entries of these keys, in their order."""
    return "\n".join(REFERENCES[key].bibtex for key in keys)
