"""Every write that a client of the code of before was told is saved is in the result, as if it had come before."""

from __future__ import annotations

import pytest
from conftest import Project, Server
from ledger import CASES, COMMANDS, play, ready


@pytest.mark.parametrize("case", CASES)
def test_what_was_saved_meanwhile_is_there(server: Server, project: Project, case: str) -> None:
    with ready(server, project):
        outcome = play(server, project, CASES[case], pause=0.1, bulk=60)
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} of {outcome.saved} are wrong", *outcome.wrong[:5]])
    assert outcome.saved > 50


@pytest.mark.sampled
@pytest.mark.parametrize("server", ["mysql"], indirect=True)  # PostgreSQL undoes all of it
@pytest.mark.parametrize("case", ["using", "key"])
@pytest.mark.parametrize("statement", ["ALTER TABLE `dev_", "RENAME TABLE `dev_"])
def test_what_was_saved_while_it_was_broken_off_is_there(
    server: Server, project: Project, case: str, statement: str
) -> None:
    with ready(server, project):
        outcome = play(server, project, CASES[case], pause=0.2, bulk=60, broken_off=statement)
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} of {outcome.saved} are wrong", *outcome.wrong[:5]])


@pytest.mark.parametrize("server", ["mysql"], indirect=True)
def test_what_was_saved_while_there_were_no_foreign_keys_is_there(server: Server, project: Project) -> None:
    """Keys of parents that change then would leave their rows behind."""
    with ready(server, project):
        outcome = play(
            server,
            project,
            CASES["key"],
            pause=0.2,
            bulk=60,
            broken_off="ALTER TABLE `dev_life`.`weight",
            only=("key",),
        )
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} of {outcome.saved} are wrong", *outcome.wrong[:5]])


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, (_, cases) in COMMANDS.items() for case in cases])
def test_what_was_saved_beside_another_command_is_there(server: Server, project: Project, name: str, case: str) -> None:
    with ready(server, project):
        outcome = play(server, project, CASES[case], pause=0.1, bulk=60, command=COMMANDS[name][0])
    assert not outcome.wrong, "\n".join([f"{len(outcome.wrong)} of {outcome.saved} are wrong", *outcome.wrong[:5]])
    assert outcome.saved > 50
