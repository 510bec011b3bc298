"""A user's own rewards by path: three dialects, and what is said when something is wrong."""

import pickle
import textwrap

import pytest

from jominy.records import Message, Prompt, Reward
from jominy.rewards.boundary import Grader
from jominy.rewards.loading import load_object, load_reward

PROMPT = Prompt(
    id="p",
    task="sums",
    messages=(Message(role="system", content="Be brief."), Message(role="user", content="2 + 3 = ?")),
    target="5",
    info={"level": 2, "data_source": "mine"},
)


@pytest.fixture
def rewards_file(tmp_path):
    def write(body, name="my_rewards.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(body))
        return path

    return write


def test_native_rewards_return_numbers_rewards_or_nothing(rewards_file):
    path = rewards_file("""
        from jominy.records import Reward

        def number(prompt, text):
            return float(text == prompt.target)

        def record(prompt, text):
            return Reward(value=0.5, answer=text)

        def nothing(prompt, text):
            return None

        async def later(prompt, text):
            return True

        class Judge:
            def __call__(self, prompt, text):
                return len(text)

        judge = Judge()
        """)
    assert [load_reward(f"{path}:number")(PROMPT, text).value for text in ("5", "6")] == [1.0, 0.0]
    assert load_reward(f"{path}:record")(PROMPT, "x") == Reward(value=0.5, answer="x")
    assert load_reward(f"{path}:nothing")(PROMPT, "x") == Reward(value=None, note="returned None")
    assert load_reward(f"{path}:later")(PROMPT, "x").value == 1.0
    assert load_reward(f"{path}:judge")(PROMPT, "four").value == 4.0
    assert load_reward(f"{path}:number").kind == "native"


def test_trl_rewards_get_conversations_and_columns_as_lists_of_one(rewards_file):
    path = rewards_file("""
        seen = {}

        def all_columns(prompts, completions, **kwargs):
            seen.update(prompts=prompts, completions=completions, **kwargs)
            return [1.0]

        def named(completions, answer, level):
            return [float(answer[0] in completions[0][0]["content"]) * level[0]]

        async def later(completions, **kwargs):
            return [None]

        def tokens(completion_ids, **kwargs):
            return [float(len(ids)) for ids in completion_ids]

        def two(completions, **kwargs):
            return [1.0, 2.0]

        def logs(prompts, completions, trainer_state, log_extra, log_metric):
            log_metric("m", 1.0)
            log_extra("column", ["x"])
            return [0.25]
        """)
    reward = load_reward(f"{path}:all_columns")
    assert reward.kind == "trl"
    assert reward(PROMPT, "it is 5").value == 1.0
    seen = load_object(f"{path}:seen")
    assert seen["prompts"] == [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 3 = ?"}]]
    assert seen["completions"] == [[{"role": "assistant", "content": "it is 5"}]]
    assert seen["level"] == [2]
    assert seen["ground_truth"] == seen["answer"] == ["5"]
    assert load_reward(f"{path}:named")(PROMPT, "it is 5").value == 2.0
    assert load_reward(f"{path}:later")(PROMPT, "x") == Reward(value=None, note="returned None")
    assert load_reward(f"{path}:logs")(PROMPT, "x").value == 0.25
    with pytest.raises(TypeError):  # no token ids here: unscored behind the boundary, never a silent 0
        load_reward(f"{path}:tokens")(PROMPT, "x")
    with pytest.raises(TypeError, match="for one completion it returned 2 values"):
        load_reward(f"{path}:two")(PROMPT, "x")


def test_verl_rewards_by_keyword_with_parts(rewards_file):
    path = rewards_file("""
        def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
            assert data_source == "mine" and extra_info["level"] == 2 and not kwargs
            return {"score": float(solution_str == ground_truth), "acc": 1, "pred": solution_str}

        def plain(data_source, solution_str, ground_truth, extra_info=None):
            return 0.5

        def no_score(data_source, solution_str, ground_truth, extra_info=None):
            return {"acc": 1.0}
        """)
    reward = load_reward(f"{path}:compute_score")
    assert reward.kind == "verl"
    assert reward(PROMPT, "5") == Reward(value=1.0, parts={"acc": 1.0})
    assert load_reward(f"{path}:plain")(PROMPT, "5").value == 0.5
    with pytest.raises(TypeError, match=r"dict with 'score'; the dict has acc"):
        load_reward(f"{path}:no_score")(PROMPT, "5")


def test_a_file_with_neighbours_and_unpicklable_state_works_behind_the_boundary(rewards_file):
    rewards_file("BONUS = 10.0\n", name="neighbour_of_mine.py")
    path = rewards_file("""
        import threading
        from neighbour_of_mine import BONUS

        LOCK = threading.Lock()

        def reward(prompt, text):
            with LOCK:
                return BONUS + len(text)
        """)
    with Grader(load_reward(f"{path}:reward"), num_workers=1) as grader:
        assert [one.value for one in grader.grade([(PROMPT, "a"), (PROMPT, "")])] == [11.0, 10.0]


def test_it_is_pickled_as_an_absolute_path(rewards_file, monkeypatch):
    path = rewards_file("def fn(prompt, text):\n    return 1.0\n")
    monkeypatch.chdir(path.parent)
    again = pickle.loads(pickle.dumps(load_reward("my_rewards.py:fn")))
    assert again.source == f"{path.resolve()}:fn"
    assert again(PROMPT, "x").value == 1.0


def test_files_of_the_same_name_are_two_modules(rewards_file, tmp_path):
    (tmp_path / "other").mkdir()
    first = rewards_file("def fn(prompt, text):\n    return 1.0\n")
    second = rewards_file("def fn(prompt, text):\n    return 2.0\n", name="other/my_rewards.py")
    assert [load_reward(f"{path}:fn")(PROMPT, "x").value for path in (first, second)] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("my_rewards.py", "names no object"),
        ("no_such.py:fn", r"no file .*no_such.py"),
        ("no.such.module:fn", "no module 'no'"),
        ("jominy.records:Promt", r"has no 'Promt'; did you mean Prompt"),
        ("jominy.records:Ints", "reward"),
    ],
)
def test_wrong_paths_say_what_there_is(source, message):
    with pytest.raises(ValueError, match=message):
        load_reward(source)


def test_wrong_files_and_signatures_say_what_is_accepted(rewards_file):
    path = rewards_file("""
        number = 5

        def one(text):
            return 1.0

        def three(a, b, c):
            return 1.0

        def keyword(prompt, text, *, strict):
            return 1.0
        """)
    for name in ("one", "three", "keyword"):
        with pytest.raises(ValueError, match=r"is no reward signature; .*prompt, text.*completions.*solution_str"):
            load_reward(f"{path}:{name}")
    with pytest.raises(ValueError, match="is a int, not a function"):
        load_reward(f"{path}:number")
    with pytest.raises(ValueError, match=r"has no 'ones'; did you mean one\? it has .*keyword"):
        load_reward(f"{path}:ones")
    broken = rewards_file("def fn(prompt, text:\n", name="broken.py")
    with pytest.raises(ValueError, match=r"broken.py cannot be imported: SyntaxError"):
        load_reward(f"{broken}:fn")
    needy = rewards_file("import no_such_package_here\n", name="needy.py")
    with pytest.raises(ValueError, match="no_such_package_here"):
        load_reward(f"{needy}:fn")
