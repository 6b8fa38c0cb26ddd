"""Tell by the tables, after an interruption on MySQL, which steps of a run are done.

What the tables are after each step follows from how the run found them and from the steps, which were planned once
more. Equal to before the step: it is still to be run. Equal to after it: it is done. Neither: somebody else changed the
tables, or the record is not true; then nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from ..dialects.introspection import CatalogTable, Place
from ..dialects.mysql import effects
from ..dialects.steps import NO_SHAPES
from ..errors import ExitCode, PipelineError
from ..journal import steplog
from ..planner.steps import PlannedStep, UserPython, UserSQL

#: How many differences a refusal names.
_NAMED = 3


def is_done(
    steps: list[PlannedStep],
    entries: list[steplog.Entry],
    before: Mapping[Place, CatalogTable],
    now: Mapping[Place, CatalogTable],
) -> bool:
    """Tell whether the step that was under way, or is the next, is done; refuse tables that are neither.

    Parameters
    ----------
    steps, entries : list
        The steps of the run, and their records.
    before, now : mapping of Place to CatalogTable
        The tables as the run found them, and as they are.

    Raises
    ------
    PipelineError
        If the tables are neither as before that step nor as it leaves them.
    """
    done = sum(entry.state == steplog.DONE for entry in entries)
    begun = done < len(entries) and entries[done].state == steplog.RUNNING
    current = steps[done] if done < len(steps) else None
    made = [effect for step in steps[:done] for effect in step.effects]
    was = effects.applied(before, made)
    will = effects.applied(was, current.effects if current is not None and begun else ())
    places: Iterable[Place] = dict.fromkeys((*_places(made), *_places(current.effects if current else ()), *before))
    if any(map(_may_change_shapes, steps[: done + begun])):
        # Which, only the lab knows.
        places = _places(current.effects) if current is not None else ()
    missing = list(effects.differences(was, now, places))
    if not missing:
        return False
    left = list(effects.differences(will, now, places))
    if begun and not left:
        return True
    _refuse_made_anew([*made, *(current.effects if current is not None else ())], was, now)
    begun = begun and left != missing  # a step that changes no shape leaves what was there before it
    words = f"before step {done + 1} ({current.words})" if current is not None else "after the last step"
    found = [f"before it: {text}" for text in islice(missing, _NAMED)] if begun else list(islice(missing, _NAMED))
    found += [f"after it: {text}" for text in islice(left, _NAMED)] if begun else []
    raise PipelineError(
        f"The tables are not as {words}{' and not as it leaves them' if begun else ''}; nothing was run.",
        f"Somebody changed them, or the record of the run. Not as {'; '.join(found)}.",
        "Undo by hand what the migration did not do, then run migrate again; it goes on from there.",
        exit_code=ExitCode.INTERRUPTED,
    )


def _refuse_made_anew(
    made: Iterable[effects.Effect], was: Mapping[Place, CatalogTable], now: Mapping[Place, CatalogTable]
) -> None:
    """Refuse where somebody made a table anew which the run has hidden, as code does that declares what is missing."""
    for effect in made:
        if isinstance(effect, effects.Renamed) and effect.hides and effect.old in now and effect.old not in was:
            name = ".".join(effect.old)
            raise PipelineError(
                f"There is another {name}, while the run has the table hidden as {effect.new[1]}; nothing was run.",
                "Code that declares tables by itself made it anew, and may have put rows into it.",
                f"Keep its rows somewhere, drop it (DROP TABLE {name}), run the command again, then insert them.",
                exit_code=ExitCode.INTERRUPTED,
            )


def _may_change_shapes(step: PlannedStep) -> bool:
    """Tell whether a step is the lab's own and may change tables, and not only their rows."""
    if isinstance(step, UserSQL):
        return not all(map(NO_SHAPES.match, step.statements))
    return isinstance(step, UserPython)


def _places(made: Iterable[effects.Effect]) -> list[Place]:
    return [place for effect in made for place in effects.places(effect)]
