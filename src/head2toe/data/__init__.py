"""What users keep: folders, tables and arrays of images, texts or recordings, read as sequences with labels."""

from head2toe.data.class_folders import check_class_folders
from head2toe.data.images import Images, as_images
from head2toe.data.inputs import as_inputs
from head2toe.data.labelled import LabelledImages
from head2toe.data.reading import read_data
from head2toe.data.table import PREDICTED

__all__ = ["PREDICTED", "Images", "LabelledImages", "as_images", "as_inputs", "check_class_folders", "read_data"]
