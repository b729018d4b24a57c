"""Where each task's data come from, and what their licences ask.

Short on purpose: a licence is what its owner's page says on the day you read it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """Where to get a data set.

    Attributes
    ----------
    page : str
        Of its owners: their terms hold.
    terms : str
        What they were when this was written, in a few words.
    manual : bool
        No link gives the files: an account, or a form, stands before them.
    """

    page: str
    terms: str
    manual: bool = False


ACCESS: dict[str, Access] = {
    "cifar100": Access("https://www.cs.toronto.edu/~kriz/cifar.html", "no licence stated; cite the technical report"),
    "caltech101": Access("https://data.caltech.edu/records/mzrjq-6wc02", "CC BY 4.0"),
    "dtd": Access("https://www.robots.ox.ac.uk/~vgg/data/dtd/", "for research purposes"),
    "flowers102": Access(
        "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/", "no licence stated; photographs of many owners"
    ),
    "pets": Access("https://www.robots.ox.ac.uk/~vgg/data/pets/", "CC BY-SA 4.0; photographs of many owners"),
    "svhn": Access("http://ufldl.stanford.edu/housenumbers/", "non-commercial use only"),
    "sun397": Access(
        "https://vision.princeton.edu/projects/2010/SUN/", "no licence stated; photographs of many owners"
    ),
    "camelyon": Access("https://github.com/basveeling/pcam", "CC0"),
    "eurosat": Access("https://github.com/phelber/eurosat", "MIT; Copernicus Sentinel data"),
    "resisc45": Access(
        "https://gcheng-nwpu.github.io/", "no licence stated; a download by hand (OneDrive)", manual=True
    ),
    "retinopathy": Access(
        "https://www.kaggle.com/c/diabetic-retinopathy-detection/data",
        "rules of the Kaggle competition: an account that accepts them",
        manual=True,
    ),
    "clevr": Access("https://cs.stanford.edu/people/jcjohns/clevr/", "CC BY 4.0"),
    "dmlab": Access("https://github.com/google-research/task_adaptation", "made for VTAB; see its page"),
    "kitti": Access(
        "https://www.cvlibs.net/datasets/kitti/eval_object.php",
        "CC BY-NC-SA 3.0; an account stands before the download",
        manual=True,
    ),
    "dsprites": Access("https://github.com/google-deepmind/dsprites-dataset", "Apache-2.0"),
    "smallnorb": Access("https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/", "for research purposes, not to be sold"),
}


def access(name: str) -> Access:
    """Where the data of a task are; both tasks on one data set share it."""
    return ACCESS.get(name) or ACCESS[name.partition("-")[0]]
