"""Masked affine registration with elastix (paper section 3.2c-d)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import itk
import numpy as np
from itk.support import helpers

from workflow_scripts.common import seeds
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.transform import RAS_LPS
from workflow_scripts.common.volume import Volume
from workflow_scripts.preprocess.registration.settings import RegistrationSettings

PARAMETERS = Path(__file__).with_name("affine.txt")


def register_affine(
    fixed: Volume, fixed_mask: np.ndarray, moving: Volume, settings: RegistrationSettings
) -> np.ndarray:
    """Find the affine that maps points of ``fixed`` to points of ``moving`` (4×4, RAS+, mm).

    Only the fixed image is masked: with two masks elastix gives up when samples leave the moving one. The result
    depends on ``settings.threads``, since threads add up in another order.

    Raises `InputError` when elastix gives up.
    """
    elastix, parameter_objects = _modules()
    method = elastix.itkElastixRegistrationMethodIF3IF3_New()
    images = [
        itk_image(fixed, np.float32),
        itk_image(moving, np.float32),
        itk_image(fixed.with_data(fixed_mask), np.uint8),
    ]
    method.SetFixedImage(images[0])
    method.SetMovingImage(images[1])
    method.SetFixedMask(images[2])
    method.SetParameterObject(_parameter_object(settings, parameter_objects))
    method.SetNumberOfThreads(settings.threads)
    method.LogToConsoleOff()
    try:
        method.UpdateLargestPossibleRegion()
    except RuntimeError as error:
        raise InputError(
            f"elastix found no registration ({_reason(error)}).",
            "look at the two images and the brain mask: they may show different body parts or be empty.",
        ) from error
    return matrix_of(method.GetTransformParameterObject().GetParameterMap(0))


def _modules() -> tuple[ModuleType, ModuleType]:
    """Load the two wrapped modules by name: the first touch of ``itk.ElastixRegistrationMethod`` loads 2400 others."""
    # ITK imports torch and xarray, where they are installed, to accept their arrays; none are given to it here.
    helpers._HAVE_TORCH = helpers._HAVE_XARRAY = False
    from itk import elxParameterObjectPython, itkElastixRegistrationMethodPython

    return itkElastixRegistrationMethodPython, elxParameterObjectPython


def _parameter_object(settings: RegistrationSettings, module: ModuleType):
    text = PARAMETERS.read_text(encoding="utf-8")
    values = vars(settings) | {"seed": seeds.integer(settings.seed, "registration")}
    for name, value in values.items():
        text = text.replace(f"<{name}>", str(value))
    parameters = module.elastixParameterObject_New()
    values = module.mapstringvectorstring()
    for name, value in re.findall(r'^\((\w+) "?([^")]+)"?\)$', text, re.MULTILINE):
        values[name] = (value,)
    parameters.AddParameterMap(values)
    return parameters


def itk_image(volume: Volume, dtype: type) -> "itk.Image":
    """Hand an image to ITK: it counts in (z, y, x), in LPS, and keeps spacing and direction apart."""
    image = itk.image_from_array(np.ascontiguousarray(volume.data.T.astype(dtype)))
    lps = RAS_LPS @ volume.affine
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(volume.spacing.tolist())
    image.SetDirection(itk.matrix_from_array(lps[:3, :3] / volume.spacing))
    return image


def matrix_of(transform: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Return the 4×4 affine (RAS+, mm) of an elastix parameter map; it leads from the fixed to the moving image."""
    parameters = np.array([float(value) for value in transform["TransformParameters"]])
    centre = np.array([float(value) for value in transform["CenterOfRotationPoint"]])
    lps = np.eye(4)
    lps[:3, :3] = parameters[:9].reshape(3, 3)
    lps[:3, 3] = parameters[9:] + centre - lps[:3, :3] @ centre
    return RAS_LPS @ lps @ RAS_LPS


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
