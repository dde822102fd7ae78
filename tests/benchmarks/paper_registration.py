"""The reference of bench_registration: the paper's parameter map through itk-elastix as its manual shows it.

Values of the authors' code: 4 resolutions of 1000 iterations at full resolution, random voxels as samples. They
register without mask and seed; here the images are prepared and masked as ours are, so that only map, grid and start-up
differ.
"""

import sys

import itk
import numpy as np

from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import load_volume
from workflow_scripts.preprocess.registration.elastix import itk_image, matrix_of
from workflow_scripts.preprocess.registration.intensities import (
    ct_for_registration,
    mri_for_registration,
    registration_mask,
)

VALUES = {
    "NumberOfResolutions": "4",
    "MaximumNumberOfIterations": "1000",
    "Metric": "AdvancedMattesMutualInformation",
    "NumberOfHistogramBins": "32",
    "ImageSampler": "Random",
    "NumberOfSpatialSamples": "2000",
    "NewSamplesEveryIteration": "true",
    "Optimizer": "AdaptiveStochasticGradientDescent",
    "MaximumStepLength": "4",
    "AutomaticScalesEstimation": "true",
    "AutomaticTransformInitialization": "true",
    "AutomaticTransformInitializationMethod": "CenterOfGravity",
    "Interpolator": "LinearInterpolator",
    "DefaultPixelValue": "0",
    "RandomSeed": "1",
    "WriteResultImage": "false",
}


def main(ncct: str, brain: str, mri: str, affine: str) -> None:
    """Read stripped NCCT, brain mask and stripped MRI; write the affine from MRI to NCCT."""
    fixed, moving, mask = load_volume(ncct), load_volume(mri), load_volume(brain).data > 0
    wide = registration_mask(mask, fixed.spacing, 15.0)
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(parameters.GetDefaultParameterMap("affine"))
    for name, value in VALUES.items():
        parameters.SetParameter(0, name, value)
    method = itk.ElastixRegistrationMethod.New(
        itk_image(ct_for_registration(fixed, mask, (0.0, 80.0), 0.0), np.float32),
        itk_image(mri_for_registration(moving), np.float32),
    )
    method.SetFixedMask(itk_image(fixed.with_data(wide), np.uint8))
    method.SetParameterObject(parameters)
    method.SetNumberOfThreads(1)
    method.LogToConsoleOff()
    method.UpdateLargestPossibleRegion()
    to_mri = matrix_of(method.GetTransformParameterObject().GetParameterMap(0))
    write_affine(affine, np.linalg.inv(to_mri), "the MRI", "the NCCT")


if __name__ == "__main__":
    main(*sys.argv[1:])
