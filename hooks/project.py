"""A user's project in the hands of a template migration: its answers, its files, and what is to be said to the user.

Everything is planned first and written by :meth:`Project.commit`: a migration that stops half-way has written nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import edits
import yaml

ANSWERS = ".copier-answers.yml"

#: What stands at the markers of a conflict; the same words as Copier's.
MINE, BASE, THEIRS = "before updating", "last update", "after updating"

Done = subprocess.CompletedProcess[bytes]


class MigrationError(Exception):
    """A migration that cannot go on: what is wrong, and why."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} {why}")
        self.what = what
        self.why = why


class Edits(NamedTuple):
    """What people did to the files of a folder that the template of before had made."""

    #: What was done to each file: ``A`` added, ``D`` deleted, any other letter changed.
    files: dict[str, str]
    #: All of it as a unified diff, which ``git apply`` takes; empty where nothing was done.
    patch: bytes


class Project:
    """A user's project.

    Paths are relative to its folder, with ``/`` between the parts. Text is UTF-8; line ends stay as they are.

    Parameters
    ----------
    folder : Path
        The project, within a git repository.
    stage : str
        ``before`` the new template is rendered, or ``after``.
    version_from : str
        The release of the template that the project has; a tag or commit.
    answers_file : str, optional
        Where its answers are, which another name has beside the answers of another template.
    """

    def __init__(self, folder: Path, stage: str, version_from: str, answers_file: str = ANSWERS) -> None:
        self.folder = folder
        self.stage = stage
        self.version_from = version_from
        self.answers_file = answers_file
        self.notes: list[str] = []
        self.written = False
        self._planned: dict[str, bytes | None] = {}
        self._pruned: list[str] = []
        self._conflicts: dict[str, tuple[str, str, str]] = {}

    # --- Answers ---------------------------------------------------------------------------------------------------

    @property
    def answers(self) -> dict[str, Any]:
        """The answers that the project was made with, what this migration changed included."""
        return dict(yaml.safe_load(self.read(self.answers_file)) or {})

    def set_answer(self, name: str, value: Any) -> None:
        """Answer a question, whether it had an answer or not."""
        self._plan(self.answers_file, edits.yaml_set(self.read(self.answers_file), (name,), value).encode())

    def remove_answer(self, name: str) -> None:
        """Forget the answer of a question that is not asked any longer."""
        self._plan(self.answers_file, edits.yaml_remove(self.read(self.answers_file), (name,)).encode())

    # --- Files -----------------------------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._planned[path] is not None if path in self._planned else self._place(path).is_file()

    def files(self, pattern: str) -> list[str]:
        """The committed files that are still there and fit a pattern, whose `*` stands for `/` too."""
        listed = os.fsdecode(self._git("ls-tree", "-r", "--name-only", "-z", "HEAD").stdout).split("\0")
        return [path for path in listed if path and fnmatch(path, pattern) and self.exists(path)]

    def naming(self, word: str) -> list[str]:
        """The committed text files that are still there and have a word in them."""
        options = ["-I", "--files-with-matches", "-z", "--fixed-strings"]
        found = os.fsdecode(self._git("grep", *options, word, "HEAD", "--", ".", check=False).stdout)
        paths = (path.removeprefix("HEAD:") for path in found.split("\0") if path)
        return [path for path in paths if self.exists(path)]

    def read(self, path: str) -> str:
        """The text of a file."""
        if not self.exists(path):
            raise MigrationError(f"The project has no file {path}.", "The migration needs it; it may have been moved.")
        try:
            planned = self._planned.get(path)
            return (self._place(path).read_bytes() if planned is None else planned).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise MigrationError(f"{path} cannot be read.", str(error)) from error

    def write(self, path: str, text: str | bytes) -> None:
        """Give a file another text; before the template is rendered the change is also put into git's index, as Copier
        takes what people changed from there."""
        if isinstance(text, bytes):
            self._plan(path, text)
        elif not self.exists(path) or self.read(path) != text:
            self._plan(path, text.encode())

    def edit(self, path: str, change: Callable[..., str], *arguments: Any) -> None:
        """Change a file by a function of :mod:`edits`, such as ``project.edit("pyproject.toml", toml_remove, (…))``."""
        try:
            self.write(path, change(self.read(path), *arguments))
        except ValueError as error:
            raise MigrationError(f"{path} cannot be edited.", str(error)) from error

    def delete(self, path: str) -> bool:
        """Delete a file of the template, unless somebody edited it; whether it is gone."""
        if not self.exists(path):
            return True
        if self.edited(path):
            self.note(
                f"{path} is not needed any longer. It was edited, so it stays; delete it once you have what you need."
            )
            return False
        self._plan(path, None)
        return True

    def drop(self, path: str) -> None:
        """Delete a file of the template, or all that are its in a folder, edited or not.

        Before the template is rendered this leaves Copier nothing to merge; :meth:`edits` says what is lost by it, and
        :meth:`keep` brings a file back.
        """
        top = self._rendered / path
        for place in [top, *sorted(top.rglob("*"))]:
            path = place.relative_to(self._rendered).as_posix()
            if place.is_file() and self.exists(path):
                self._plan(path, None)

    def prune(self, folder: str) -> None:
        """Take away what is left of a folder whose modules are gone: bytecode, and folders that are empty."""
        self._pruned.append(folder)
        self._place(folder)

    def keep(self, path: str) -> bool:
        """Bring back a file that the template has no longer, where somebody had edited it; whether that was so."""
        mine = self._committed(path)
        if mine is None or mine == self._original(path) or self.exists(path):
            return False
        self._plan(path, mine)
        return True

    def edited(self, path: str) -> bool:
        """Whether the file as it was committed differs from what the template had made."""
        return self._committed(path) != self._original(path)

    def edits(self, folder: str) -> Edits:
        """What was done to a folder between the template of before and the last commit."""
        with tempfile.TemporaryDirectory(prefix="edits-") as scratch:
            kind = self._git("rev-parse", "--show-object-format").stdout.decode().strip()
            objects = self.folder / self._git("rev-parse", "--git-path", "objects").stdout.decode().strip()
            self._git("init", "--quiet", "--bare", f"--object-format={kind}", scratch)

            def git(*arguments: str, check: bool = True) -> Done:
                plain = ("core.autocrlf=false", f"core.attributesFile={os.devnull}", f"core.excludesFile={os.devnull}")
                settings = [word for setting in plain for word in ("-c", setting)]
                where = ["-C", str(self._rendered), f"--git-dir={scratch}", "--work-tree=."]
                return self._git(
                    *where, *settings, *arguments, check=check, GIT_ALTERNATE_OBJECT_DIRECTORIES=str(objects.resolve())
                )

            git("add", "--all", "--force")
            made = git("write-tree").stdout.decode().strip()
            base, mine = (
                self._tree(git, f"{made}:{folder}"),
                self._tree(self._git, f"HEAD:./{folder}") or git("mktree").stdout.decode().strip(),
            )
            if not base:
                return Edits({}, b"")
            compare = ["diff-tree", "-r", "--no-renames"]
            names = os.fsdecode(git(*compare, "--name-status", "-z", base, mine).stdout).split("\0")
            top = self._git("rev-parse", "--show-prefix").stdout.decode().strip() + folder
            prefixes = [f"--src-prefix=a/{top}/", f"--dst-prefix=b/{top}/"]
            patch = git(*compare, "--patch", "--binary", "--full-index", "--no-color", *prefixes, base, mine).stdout
        files = {f"{folder}/{name}": letter for letter, name in zip(names[::2], names[1::2], strict=False)}
        return Edits(files, patch)

    @staticmethod
    def _tree(git: Callable[..., Done], name: str) -> str:
        """The object that is called so, or nothing."""
        return git("rev-parse", "--verify", "--quiet", name, check=False).stdout.decode().strip()

    def move(self, old: str, new: str) -> None:
        """Carry what a user did to a file over to what the template calls it now; only after the template is rendered.

        Edits are merged with the template's own in three ways; where they meet there is a conflict, in the file and in
        git's index, as after any other update. A file that the user had deleted stays deleted.
        """
        if self.stage != "after":
            raise MigrationError(f"{old} cannot be moved yet.", "A file is moved after the new template is rendered.")
        base, mine = self.original(old), self.committed(old)
        if base is None or self.committed(new) is not None:  # not the template's, or moved by an earlier attempt
            return
        if mine is None:
            self._plan(new, None)
        elif mine != base and self.exists(new):
            theirs = self.read(new)
            merged, clean = self._merge(mine, base, theirs)
            self._plan(new, merged.encode())
            if not clean:
                self._conflicts[new] = (mine, base, theirs)
                self.note(
                    f"{old} is now {new}, and what you changed in it meets what the template changed: a conflict."
                )
        elif mine != base:
            self.note(f"{old} is gone from the template. You had edited it: git show HEAD:./{old} has what you did.")
        if self.exists(old):
            self._plan(old, None)

    def note(self, text: str) -> None:
        """Say something to the user once all is written."""
        self.notes.append(text)

    def committed(self, path: str) -> str | None:
        """The text of a file when the update began, if there was one; an update begins with everything committed."""
        found = self._committed(path)
        return None if found is None else found.decode()

    def head(self) -> str:
        """The commit that the update began with, as git calls it for short."""
        return self._git("rev-parse", "--short", "HEAD").stdout.decode().strip()

    def original(self, path: str) -> str | None:
        """The text of a file as the template of before made it, if it did."""
        found = self._original(path)
        return None if found is None else found.decode()

    def latest(self, path: str) -> str | None:
        """The text of a file as the new template makes it, if it does; only after that is rendered."""
        place = self._rendered_now / path
        return place.read_bytes().decode() if place.is_file() else None

    # --- The end ---------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Write everything that was planned."""
        for path, text in self._planned.items():
            place = self._place(path)
            self.written = True
            if text is None:
                place.unlink(missing_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(text)
        if self.stage == "before" and self._planned:
            paths = "\0".join(self._planned).encode(errors="surrogateescape")
            self._git("update-index", "--add", "--remove", "--replace", "-z", "--stdin", data=paths)
        for folder in self._pruned:
            self._prune(self._place(folder))
        if self.stage == "after":
            self._unstage()
        for path, texts in self._conflicts.items():
            self._mark(path, texts)

    def forget(self) -> None:
        """Delete what was rendered for the migrations, once the last of them is over or one has failed."""
        shutil.rmtree(self._kept, ignore_errors=True)

    def restore_answers(self) -> None:
        """Put the answers back as committed: Copier has noted the new version already, and the next update has to begin
        at the old one."""
        answers = self.committed(self.answers_file)
        if answers is not None:
            (self.folder / self.answers_file).write_bytes(answers.encode())

    # --- Underneath ------------------------------------------------------------------------------------------------

    def _plan(self, path: str, text: bytes | None) -> None:
        self._place(path)
        self._planned[path] = text

    def _committed(self, path: str) -> bytes | None:
        shown = self._git("show", f"HEAD:./{path}", check=False)
        return shown.stdout if shown.returncode == 0 else None

    def _original(self, path: str) -> bytes | None:
        place = self._rendered / path
        return place.read_bytes() if place.is_file() else None

    def _unstage(self) -> None:
        """Take out of git's index what a stage before put there, now that Copier has seen it, so that `git diff` shows
        the whole update; conflicts stay marked."""
        options = ["--name-only", "--no-renames", "--diff-filter=u", "--relative", "-z"]
        staged = self._git("diff", "--cached", *options).stdout
        if staged:
            options = ["--quiet", "--pathspec-from-file=-", "--pathspec-file-nul"]
            self._git("--literal-pathspecs", "reset", *options, data=staged)

    def _prune(self, place: Path) -> None:
        if not place.is_dir() or place.is_symlink():
            return
        for each in place.iterdir():
            if each.name == "__pycache__" and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                self._prune(each)
        if not any(place.iterdir()):
            place.rmdir()

    def _place(self, path: str) -> Path:
        """Where a path is, which has to be within the project, also behind links."""
        place = self.folder / PurePosixPath(path)
        root = self.folder.resolve()
        if not place.parent.resolve().is_relative_to(root) or (place.is_symlink() and not place.exists()):
            raise MigrationError(f"{path} does not lie in the project.", "A migration touches nothing else.")
        if place.is_symlink() and not place.resolve().is_relative_to(root):
            raise MigrationError(
                f"{path} is a link that leads out of the project.", "A migration touches nothing else."
            )
        return place

    @cached_property
    def _rendered(self) -> Path:
        """What the template of before makes of the answers of before."""
        return self._render(self.committed(self.answers_file), self.version_from)

    @cached_property
    def _rendered_now(self) -> Path:
        """What the new template makes of the answers that it has recorded."""
        text = (self.folder / self.answers_file).read_text(encoding="utf-8")
        return self._render(text, str((yaml.safe_load(text) or {}).get("_commit")))

    @cached_property
    def _kept(self) -> Path:
        """Where what is rendered stays until :meth:`forget`: in git's folder, which git and Copier pass over."""
        shown = self._git("rev-parse", "--git-path", "copier-datajoint").stdout.rstrip(b"\n")
        return (self.folder / os.fsdecode(shown)).resolve()

    def _render(self, recorded: str | None, version: str) -> Path:
        """Render a version of the template, once for all stages of an update, each of which is a process of its own."""
        answers = yaml.safe_load(recorded or "") or {}
        data = {name: value for name, value in answers.items() if not name.startswith("_")}
        if not (source := answers.get("_src_path")):
            raise MigrationError(f"{self.answers_file} does not say where the template is.", "It has no _src_path.")
        # The process of Copier that runs the stages is this update; what one left behind that was killed, goes.
        update = self._kept / str(os.getppid())
        what = json.dumps([str(source), version, data], sort_keys=True, default=str)
        folder = update / hashlib.sha256(what.encode()).hexdigest()[:16]
        if folder.is_dir():
            return folder
        if not update.is_dir():
            self.forget()
            update.mkdir(parents=True)
        import copier

        with tempfile.TemporaryDirectory(dir=update) as scratch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = Path(scratch) / "project"
            copier.run_copy(str(source), made, data=data, vcs_ref=version, defaults=True, quiet=True)
            made.rename(folder)
        return folder

    def _merge(self, mine: str, base: str, theirs: str) -> tuple[str, bool]:
        """Three texts in one, and whether they fitted."""
        with tempfile.TemporaryDirectory() as scratch:
            files = [Path(scratch) / name for name in ("mine", "base", "theirs")]
            for file, text in zip(files, (mine, base, theirs), strict=True):
                file.write_bytes(text.encode())
            labels = [word for label in (MINE, BASE, THEIRS) for word in ("-L", label)]
            merged = self._git("merge-file", "-p", *labels, *map(str, files), check=False)
        if not 0 <= merged.returncode < 128:
            raise MigrationError("git could not merge a file.", merged.stderr.decode().strip())
        return merged.stdout.decode(), merged.returncode == 0

    def _mark(self, path: str, texts: tuple[str, str, str]) -> None:
        """Put a conflict into git's index, where `git status` shows it and a commit without a look at it is refused."""
        full = self._git("rev-parse", "--show-prefix").stdout.decode().strip() + path
        mode = "100755" if os.access(self._place(path), os.X_OK) else "100644"
        lines = [f"0 {'0' * 40}\t{full}"]
        mine, base, theirs = (
            self._git("hash-object", "-w", "--stdin", data=text.encode()).stdout.decode().strip() for text in texts
        )
        lines += [f"{mode} {base} 1\t{full}", f"{mode} {mine} 2\t{full}", f"{mode} {theirs} 3\t{full}"]
        top = self._git("rev-parse", "--show-toplevel").stdout.decode().strip()
        self._git("-C", top, "update-index", "--index-info", data="\n".join(lines).encode())

    def _git(self, *arguments: str, data: bytes | None = None, check: bool = True, **environment: str) -> Done:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=data if data is not None else b"",
            env=os.environ | environment,
            capture_output=True,
            check=False,
        )
        if check and done.returncode:
            raise MigrationError(f"git {arguments[0]} failed.", done.stderr.decode().strip() or "It says nothing.")
        return done
