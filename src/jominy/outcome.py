"""From paired changes to one word: what training did.

Rules, ours; K is the largest k, "surely" means that the paired 95 % interval lies on that side of 0:

    unknown            no scored prompt in common, or all rewards on one side of the success threshold
    worse              pass@1 surely down, or pass@K surely down and pass@1 not surely up
    better             pass@1 surely up, and one response a prompt, so no pass@K
    discovery          pass@K surely up
    sharpening         pass@1 surely up, pass@K not surely up
    no change shown    none of these

The first that holds counts. Left out on purpose: a threshold on the size of a change; how much is worth a run, its owner knows.
"""

from __future__ import annotations

from collections.abc import Sequence

from jominy.explanation import Change, Reading, signed, signed_interval
from jominy.formatting import number
from jominy.records import Measure

HEADROOM = 0.05
"""Room above pass@K before, below which discovery can hardly show."""


def read_outcome(
    ks: tuple[int, ...], passk: tuple[Change, ...], drift: tuple[Change, ...], caveats: Sequence[str], *, on_one_side: bool
) -> Reading:
    """The reading, by the rules at the top.

    Args:
        ks: [K] ascending; none when no prompt has scored responses on both sides.
        passk: [K] pass@k for each of them.
        drift: other changes; `paid share` among them is held against pass@1.
        caveats: of the comparison itself.
        on_one_side: whether rewards differ and all lie on one side of the success threshold.
    """
    notes = [*caveats]
    if on_one_side or not passk:
        why = "no prompt has scored responses on both sides" if not passk else "all rewards lie on one side of the success threshold"
        headline = f"Nothing to compare: {why}." if not passk else f"Right and wrong mean nothing here: {why}; see the mean reward below."
        return Reading(value="unknown", headline=headline, rule=why, caveats=tuple(notes))
    one, most, name = passk[0], passk[-1], passk[-1].name
    up, down = _surely(one.difference)
    far_up, far_down = _surely(most.difference)
    at_one = f"pass@1 went from {number(one.before.value, 'share')} % to {number(one.after.value, 'share')} % ({_points(one.difference)})"
    at_most = f"{name} from {number(most.before.value, 'share')} % to {number(most.after.value, 'share')} % ({_points(most.difference)})"
    both = at_one if ks[-1] == 1 else f"{at_one}, {at_most}"
    rule = f"pass@1 {_word(up, down)}" + ("" if ks[-1] == 1 else f", {name} {_word(far_up, far_down)}")
    notes += _pay_caveat(one, drift)
    if down or (far_down and not up):
        return Reading(value="worse", headline=f"Worse: {both}.", rule=rule, caveats=tuple(notes))
    if ks[-1] == 1 and up:
        notes.append("With one response a prompt nothing tells sharpening from discovery; evaluate with 8 or more")
        return Reading(value="better", headline=f"Better: {both}.", rule=rule, caveats=tuple(notes))
    if far_up:
        notes.append(f"Discovery means beyond the reach of {ks[-1]} tries; more tries before training might have reached it too")
        text = f"Discovery: {both}. It solves prompts that {ks[-1]} tries did not solve before."
        return Reading(value="discovery", headline=text, rule=rule, caveats=tuple(notes))
    if up:
        if most.before.value is not None and most.before.value > 1 - HEADROOM:
            notes.append(f"{name} was {number(most.before.value, 'share')} % before: there was hardly anything left to discover")
        text = f"Sharpening: {both}. It is right more often, mostly where it already could be."
        return Reading(value="sharpening", headline=text, rule=rule, caveats=tuple(notes))
    return Reading(value="no change shown", headline=f"No change shown: {both}.", rule=rule, caveats=tuple(notes))


def _surely(difference: Measure) -> tuple[bool, bool]:
    """Whether it is surely up, surely down."""
    return difference.low is not None and difference.low > 0, difference.high is not None and difference.high < 0


def _word(up: bool, down: bool) -> str:
    return "surely up" if up else "surely down" if down else "not surely either way"


def _points(difference: Measure) -> str:
    return f"{signed(difference.value, 'share')} points {signed_interval(difference)}"


def _pay_caveat(one: Change, drift: tuple[Change, ...]) -> list[str]:
    paid = next((change for change in drift if change.name == "paid share"), None)
    if paid is None or not _surely(paid.difference)[0] or _surely(one.difference)[0]:
        return []
    return [f"The reward pays more often ({_points(paid.difference)}) while gold shows no gain: the reward may be being gamed"]
