"""The lock files fit the short requirement files."""

import re

import pytest

from support.paths import ROOT

LOCKS = {
    "requirements.lock": ("requirements.txt",),
    "requirements-dev.lock": ("requirements-dev.txt", "requirements-hub.txt"),
}
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)(?:\s*;\s*([^#\\\n]*[^#\\\s]))?", re.MULTILINE)


def pins(name):
    """Package, version and condition of every pin, with those of the files that it includes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = {
        (package.lower(), version, condition.replace('"', "'")) for package, version, condition in PIN.findall(text)
    }
    for other in re.findall(r"^-r (\S+)", text, re.MULTILINE):
        found |= pins(other)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_stands_in_the_lock(lock):
    wanted = set().union(*(pins(name) for name in LOCKS[lock]))
    assert len(wanted) > 10
    assert wanted <= pins(lock), "run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_the_lock_has_hashes_and_comes_from_wherever_one_installs_from(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[\w.-]+==)", text)[1:]
    assert len(entries) == len(pins(lock))
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--(extra-)?index-url|--find-links|@ ", text)


def test_the_tests_run_on_what_the_page_installs():
    assert pins("requirements.lock") <= pins("requirements-dev.lock")
