"""A small head with known geometry: the MNI brain in a skull and a scalp, posed and coarse."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tests.preprocess.settings import REGISTRATION
from workflow_scripts.common.volume import Volume, resample
from workflow_scripts.preprocess.registration.settings import RegistrationSettings
from workflow_scripts.preprocess.template import built_template, tissue_map

SPACING_MM = 4.0
SKULL_MM, SCALP_MM = 8.0, 14.0


@dataclass(frozen=True)
class Head:
    """A CT in HU, its true brain mask, and where each of its points lies in the template's space."""

    ct: Volume
    brain: np.ndarray
    to_template: np.ndarray


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scans (../shared/data) are not here")
    return folder


@pytest.fixture(scope="session")
def settings() -> RegistrationSettings:
    return REGISTRATION


@pytest.fixture(scope="session")
def template() -> tuple[Volume, np.ndarray]:
    image, mask = built_template(tissue_map("gm"), tissue_map("wm"), SPACING_MM)
    return image, mask.data > 0


@pytest.fixture(scope="session")
def head(template) -> Head:
    """The template's brain, turned, scaled and shifted, with skull, scalp, air and noise."""
    image, mask = template
    to_template = np.eye(4)
    rotation = Rotation.from_euler("xyz", [8, -6, 10], degrees=True).as_matrix()
    to_template[:3, :3] = rotation @ np.diag([1.05, 0.97, 1.02])
    to_template[:3, 3] = [6, -10, 12]
    shape, affine = (56, 64, 54), np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1])
    affine[:3, 3] = [-110, -130, -110]
    place = {"shape": shape, "affine": affine, "to_source": to_template}
    brain = resample(image.with_data(mask.astype(np.float32)), **place, order=1, background=0).data >= 0.5
    soft = resample(image, **place, order=1, background=0).data
    outside = ndimage.distance_transform_edt(~brain, sampling=SPACING_MM)
    hu = np.where(brain, soft, np.where(outside <= SKULL_MM, 800, np.where(outside <= SCALP_MM, 40, -1000)))
    noise = np.random.default_rng(0).normal(0, 2, shape)
    return Head(Volume((hu + noise).astype(np.float32), affine), brain, to_template)


@pytest.fixture(scope="session")
def stripped(head) -> Volume:
    return head.ct.with_data(np.where(head.brain, head.ct.data, np.float32(-100)))
