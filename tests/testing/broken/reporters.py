"""Reporters, each with one bug."""

from __future__ import annotations

import os

from sslkit.api import Reporter


class Notebook(Reporter):
    """Keeps what it is told in a file of the run's folder; healthy."""

    def open(self, run):
        os.makedirs(run.workdir, exist_ok=True)
        self.path = os.path.join(run.workdir, "notes")

    def write(self, step, metrics, *, time, machine):
        self.note(f"{step} {metrics}\n")

    def note(self, line):
        with open(self.path, "a") as file:
            file.write(line)


class OpensEarly(Notebook):
    def check(self):
        open("notes", "w").close()


class WholeNumbers(Notebook):
    def write(self, step, metrics, *, time, machine):
        whole = {name: int(value) for name, value in metrics.items()}
        super().write(step, whole, time=time, machine=machine)


class NewFolderEachTime(Notebook):
    def open(self, run):
        super().open(run)
        os.mkdir(os.path.join(run.workdir, "pictures"))


class ResultOfOpenOnes(Notebook):
    def result(self, run, result):
        self.note(f"{result}\n")
