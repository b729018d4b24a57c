"""How VTAB turns annotations into classes, as pure functions.

Each follows a file of google-research/task_adaptation (Zhai et al. 2019, arXiv 1910.04867), folder
``task_adaptation/data``, named in its docstring.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from head2toe.errors import DataFormatError

Integers = npt.NDArray[np.int64]

CLEVR_DISTANCES = (0.0, 8.0, 8.5, 9.0, 9.5, 10.0, 100.0)  # lower ends of the classes, in CLEVR's pixel_coords z
KITTI_DISTANCES = (-100.0, 8.0, 20.0, 999.0)  # metres before the camera; the last class is "no vehicle"
KITTI_VEHICLES = frozenset({"Car", "Van", "Truck"})
NO_VEHICLE = 1000.0  # the distance that stands for it
CLEVR_FEWEST = 3  # objects in a scene


def dsprites_location(x_position: npt.ArrayLike) -> Integers:
    """dSprites-Location: x in 16 classes.

    Parameters
    ----------
    x_position : int array (n,)
        0 .. 31, the latent class "position x".

    Returns
    -------
    int64 array (n,)
        ``floor(x / 2)``: dsprites.py with ``predicted_attribute="label_x_position", num_classes=16``.
    """
    return np.floor_divide(np.asarray(x_position, np.float32), 32 / 16).astype(np.int64)


def dsprites_orientation(orientation: npt.ArrayLike) -> Integers:
    """dSprites-Orientation: 40 angles in 16 classes.

    Parameters
    ----------
    orientation : int array (n,)
        0 .. 39, the latent class "orientation".

    Returns
    -------
    int64 array (n,)
        ``floor(orientation / 2.5)``: dsprites.py with ``predicted_attribute="label_orientation", num_classes=16``.
    """
    return np.floor_divide(np.asarray(orientation, np.float32), 40 / 16).astype(np.int64)


def clevr_count(n_objects: int) -> int:
    """Clevr-Count: the number of objects, 3 to 10, minus 3 (clevr.py, ``task="count_all"``)."""
    return n_objects - CLEVR_FEWEST


def clevr_distance(depths: Sequence[float]) -> int:
    """Clevr-Distance: the nearest object's depth in 6 classes (clevr.py, ``task="closest_object_distance"``).

    Parameters
    ----------
    depths
        The third of each object's ``pixel_coords``.

    Returns
    -------
    int
        The last class whose lower end (`CLEVR_DISTANCES`) is below the least depth.

    Raises
    ------
    DataFormatError
        There is none: a depth is 0 or less, or NaN.
    """
    return _last_below(CLEVR_DISTANCES, depths)


def kitti_distance(types: Sequence[str], depths: Sequence[float]) -> int:
    """KITTI-Distance: the nearest vehicle's distance in 4 classes (kitti.py, ``task="closest_vehicle_distance"``).

    Parameters
    ----------
    types
        KITTI's name of each object; cars, vans and trucks are vehicles.
    depths
        z of each object's location, in metres from the camera.

    Returns
    -------
    int
        The last class whose lower end (`KITTI_DISTANCES`) is below the least distance of a vehicle; 3 without one.

    Raises
    ------
    DataFormatError
        There is none, there as here: a vehicle's z is -100 (KITTI's mark of an unknown place is -1000) or less, or NaN.
    """
    vehicles = [depth for kind, depth in zip(types, depths, strict=True) if kind in KITTI_VEHICLES]
    return _last_below(KITTI_DISTANCES, [*vehicles, NO_VEHICLE])


def smallnorb_azimuth(azimuth: npt.ArrayLike) -> Integers:
    """sNORB-Azimuth: the file's even numbers 0 .. 34 (times 10 degrees) halved, 18 classes.

    smallnorb.py with ``predicted_attribute="label_azimuth"``; the halving is tensorflow_datasets' (smallnorb.py).
    """
    return np.asarray(azimuth, np.int64) // 2


def smallnorb_elevation(elevation: npt.ArrayLike) -> Integers:
    """sNORB-Elevation: the file's numbers as they are, 9 classes (smallnorb.py, ``label_elevation``)."""
    return np.asarray(elevation, np.int64)


def _last_below(ends: Sequence[float], values: Sequence[float]) -> int:
    """``max(where(ends - min(values) < 0))``, in float32 as there; NaN is the least, whatever its place."""
    least = np.min(np.asarray(values, np.float32))
    below = np.flatnonzero(np.asarray(ends, np.float32) < least)
    if not len(below):
        raise DataFormatError(f"a distance of {least} is in no class, they begin above {ends[0]:g}")
    return int(below.max())
