import importlib
import importlib.metadata
import sys
import types
from pathlib import Path

import pytest
import torch

from workflow_scripts.pretrain.loss import cross_entropy, stage_losses, teacher_probabilities, updated_centre

IMAGES, PROTOTYPES = 5, 33
LIGHTLY = importlib.metadata.distribution("lightly").locate_file("lightly")


@pytest.fixture
def dino_loss(monkeypatch):
    """lightly's DINO loss, imported without lightly's packages: those import torchvision, which a CPU torch cannot."""
    for package in ("lightly", "lightly.loss", "lightly.models", "lightly.models.modules"):
        module = types.ModuleType(package)
        module.__path__ = [str(Path(LIGHTLY, *package.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, package, module)
    for module in ("lightly.models.modules.center", "lightly.loss.dino_loss"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    yield importlib.import_module("lightly.loss.dino_loss").DINOLoss
    for module in ("lightly.models.modules.center", "lightly.loss.dino_loss"):
        del sys.modules[module]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(3)

    def draw():
        return torch.randn(2 * IMAGES, PROTOTYPES, generator=generator).tanh()

    return draw


def test_one_stage_equals_lightlys_dino_loss_and_gradient(dino_loss, logits):
    teacher, ours = logits(), logits().requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    reference = dino_loss(output_dim=PROTOTYPES, teacher_temp=0.05, student_temp=0.1, center_momentum=0.9)
    centre = torch.randn(PROTOTYPES, generator=torch.Generator().manual_seed(4)) * 0.1
    reference.center = centre.reshape(1, 1, -1).clone()

    expected = reference(list(teacher.chunk(2)), list(theirs.chunk(2)), teacher_temp=0.05)
    expected.backward()
    loss = stage_losses([ours], teacher_probabilities(teacher, centre, 0.05), 0.1).mean()
    loss.backward()

    assert abs(loss.item() - expected.item()) < 1e-6
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(updated_centre(centre, teacher, 0.9), reference.center.reshape(-1))


def test_loss_of_several_stages_is_the_mean_of_their_dino_losses(dino_loss, logits):
    teacher, students = logits(), [logits() for _ in range(3)]
    centre = torch.zeros(PROTOTYPES)
    losses = stage_losses(students, teacher_probabilities(teacher, centre, 0.04), 0.1)
    expected = [
        dino_loss(output_dim=PROTOTYPES, teacher_temp=0.04)(list(teacher.chunk(2)), list(s.chunk(2)), teacher_temp=0.04)
        for s in students
    ]
    torch.testing.assert_close(losses, torch.stack(expected), rtol=0, atol=1e-6)


def test_cross_entropy_of_a_distribution_with_itself_is_its_entropy(logits):
    student = logits()
    probabilities = torch.softmax(student / 0.1, 1)
    expected = torch.distributions.Categorical(probs=probabilities).entropy().mean()
    torch.testing.assert_close(cross_entropy(probabilities, student, 0.1), expected)


def test_teacher_is_centred_before_it_is_sharpened():
    teacher, centre = torch.tensor([[0.5, 0.3]]), torch.tensor([0.4, 0.0])
    expected = torch.exp(torch.tensor([0.1, 0.3]) / 0.05)
    torch.testing.assert_close(teacher_probabilities(teacher, centre, 0.05)[0], expected / expected.sum())


def test_loss_is_finite_where_the_naive_softmax_would_overflow():
    huge = torch.tensor([[2000.0, -2000.0], [-2000.0, 2000.0]])
    assert torch.isfinite(stage_losses([huge], torch.tensor([[0.5, 0.5], [1.0, 0.0]]), 0.1)).all()


def test_centre_follows_the_batch_mean_as_computed_by_hand():
    centre = updated_centre(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 2.0], [4.0, 0.0]]), 0.9)
    torch.testing.assert_close(centre, torch.tensor([1.0 * 0.9 + 2.0 * 0.1, 1.0 * 0.1]))
