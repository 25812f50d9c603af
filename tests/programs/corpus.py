"""Programs written by hand: each a shape at which a replay can go astray."""

from __future__ import annotations

from tests.programs.syntax import (
    MONTH,
    Child,
    Draw,
    Fail,
    First,
    Gather,
    Group,
    InOrder,
    Limited,
    Loop,
    Node,
    Seq,
    Step,
    Try,
    Wait,
)

_NAPS = Step(3, how="sleeps")
_PARKS = Wait(15)

CORPUS: dict[str, Node] = {
    "steps around waits": Seq((Step(1), _PARKS, Step(2), Wait(2), Step(3))),
    "effects of what is drawn": Seq((Draw("uuid"), Step(1), Draw("random"), Step(2), _PARKS)),
    "a retry that parks in a gather": Gather((Step(1, 2, 2, 15), Step(2, 1, 1, 15), _PARKS)),
    "steps that give up": Gather((Step(1, 2, 1, 15), Step(2, 1, 0), _NAPS), collect=True),
    "clean-up around a park": Try(Seq((Step(1), _PARKS, Step(2))), None, Step(3)),
    "an error from a child": Seq((Try(Child(Fail("a")), Step(1), Step(2)), _PARKS, Step(3))),
    "children of children": Gather((Child(Child(_PARKS)), Child(Seq((_PARKS, Step(1)))))),
    "a step beats a wait": First((_NAPS, Try(Wait(MONTH), None, Step(4))), winner=0),
    "a wait beats a child": First((Child(Wait(MONTH)), Seq((_PARKS, Step(1)))), winner=1),
    "a child beats a back-off": First((Child(_PARKS), Step(1, 1, 1, MONTH)), winner=0),
    "races in a loop": Loop(2, First((Wait(MONTH), Seq((_PARKS, _NAPS))), winner=1)),
    "a failed group": Try(Group((_PARKS, Seq((_NAPS, Fail("a"))), Step(1))), Step(2)),
    "a failed gather, its branches going on": Seq(
        (Try(Gather((Seq((_NAPS, _PARKS, Step(1))), Fail("a"))), Step(2)), Wait(25))
    ),
    "a semaphore": Limited((Seq((_NAPS, _PARKS, Step(1))), _NAPS, Seq((Step(2), Child(_PARKS))))),
    "a child that nobody waits for": Seq((Child(Seq((_PARKS, Step(1))), waits=False), Step(2))),
}

# What these come to depends on chance, but not what they come to after a crash.
CHANCY: dict[str, Node] = {
    "as they end": InOrder((_NAPS, Step(1, how="sleeps"), _PARKS, Child(Wait(2)))),
    "equal waits": InOrder((Wait(15), Wait(15), Seq((Wait(15), Step(1))))),
    "a race of equals": First((Child(_PARKS), Seq((_PARKS, Step(1))), Step(2, 1, 1, 15))),
    "the loser had begun": First((Seq((_NAPS, Step(1))), Seq((_NAPS, Draw("now"), Step(2))))),
    "many failures": Gather((Seq((_NAPS, Fail("a"))), Step(1, 2, 1, 15), Child(Fail("b")))),
}
