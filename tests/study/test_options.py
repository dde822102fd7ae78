"""Configuration values reach a script's command line as argparse reads them."""

import argparse

from workflow_scripts.study.options import options


def test_values_come_back_from_argparse_as_they_were_given():
    parser = argparse.ArgumentParser()
    parser.add_argument("--patch-size", type=int, nargs=3)
    parser.add_argument("--features", type=int, nargs="+")
    parser.add_argument("--flip", action=argparse.BooleanOptionalAction)
    parser.add_argument("--cache", action=argparse.BooleanOptionalAction)
    given = {"patch-size": [32, 40, 32], "features": None, "flip": True, "cache": False}
    read = vars(parser.parse_args(options(given)))
    assert read == {name.replace("-", "_"): value for name, value in given.items()}
