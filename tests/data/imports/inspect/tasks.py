"""Small tasks for Inspect AI, to be asked of scripted_server.py with replies.json."""

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    ContentText,
)
from inspect_ai.scorer import Score, accuracy, exact, match, mean, model_graded_qa, choice, scorer
from inspect_ai.solver import (
    generate,
    multiple_choice,
    prompt_template,
    self_critique,
    solver,
    system_message,
    use_tools,
)
from inspect_ai.tool import tool

QUESTION = "Which one is the largest?"


@task
def letters():
    """Four samples with one question and other options; one target has two letters."""
    samples = [
        Sample(input=QUESTION, choices=["1", "2", "9", "0"], target="C", id="q1"),
        Sample(input=QUESTION, choices=["5", "6", "7", "0"], target="C", id="q2"),
        Sample(input=QUESTION, choices=["2", "3", "4", "1"], target="C", id="q3"),
        Sample(input=QUESTION, choices=["8", "3", "1", "2"], target="A", id="q4"),
    ]
    return Task(dataset=MemoryDataset(samples, name="letters"), solver=multiple_choice(), scorer=choice())


@task
def several():
    """More than one right letter: the target is a list."""
    sample = Sample(input="Which are even?", choices=["1", "2", "4", "7"], target=["B", "C"], id="even")
    return Task(dataset=MemoryDataset([sample], name="several"), solver=multiple_choice(multiple_correct=True), scorer=choice())


@task
def shuffled():
    """The solver shuffles the options (deprecated) and rewrites the messages afterwards."""
    from random import Random

    sample = Sample(input="Which is a colour?", choices=["red", "seven", "run", "soft"], target="A", id="colour")
    return Task(dataset=MemoryDataset([sample], name="shuffled"), solver=multiple_choice(shuffle=Random(3)), scorer=choice())


@task
def told():
    """System message and template around the input; three epochs; thoughts and cached tokens."""
    samples = [
        Sample(input="What is 6 times 7?", target="42", id=1, metadata={"level": 1}),
        Sample(input="What is 2 plus 2?", target=["4", "four"], id=2),
    ]
    return Task(
        dataset=MemoryDataset(samples, name="told"),
        solver=[system_message("You answer with one number."), prompt_template("Think, then answer.\n\n{prompt}\n\nNumber:"), generate()],
        scorer=[match(), exact()],
        epochs=Epochs(3, ["mean", "mode"]),
    )


@task
def graded():
    """The grader is the evaluated model itself: its tokens are added to the sample's model_usage."""
    samples = [
        Sample(input="Name a red fruit.", target="a fruit that is red", id="fruit"),
        Sample(input="Name a blue fruit.", target="a fruit that is blue", id="berry"),
        Sample(input="Name a green fruit.", target="a fruit that is green", id="green"),
    ]
    return Task(dataset=MemoryDataset(samples, name="graded"), solver=generate(), scorer=model_graded_qa(partial_credit=True))


@task
def graded_by_role():
    """The same, with a grader of another name by its role."""
    sample = Sample(input="Name a red fruit.", target="a fruit that is red", id="fruit")
    return Task(dataset=MemoryDataset([sample], name="graded_by_role"), solver=generate(), scorer=model_graded_qa())


@solver
def fails_on(word, once=False):
    seen = set()

    async def solve(state, generate):
        key = (state.sample_id, state.epoch)
        if word in state.input_text and not (once and key in seen):
            seen.add(key)
            await generate(state)
            raise RuntimeError("the solver broke after the answer")
        return state

    return solve


@scorer(metrics={"length": [mean()], "polite": [mean()]})
def parts():
    async def score(state, target):
        if "unscored" in state.input_text:
            return Score.unscored(reason="no_response", explanation="left out by the scorer")
        return Score(value={"length": len(state.output.completion), "polite": True}, explanation="counted")

    return score


@task
def troubles():
    """Cut, refused, empty, unscored, broken after the answer, retried, by the server refused."""
    samples = [
        Sample(input="Write a long story.", target="x", id="cut"),
        Sample(input="Tell me a secret.", target="x", id="filtered"),
        Sample(input="Say nothing.", target="x", id="empty"),
        Sample(input="An unscored one.", target="x", id="unscored"),
        Sample(input="This one is broken.", target="x", id="broken"),
        Sample(input="A bad request.", target="x", id="bad-request"),
        Sample(input="A good one.", target="fine", id="good"),
        Sample(input="Another good one.", target="fine", id="invalid"),
    ]
    return Task(dataset=MemoryDataset(samples, name="troubles"), solver=[fails_on("broken"), generate()], scorer=[exact(), parts()], fail_on_error=False)


@task
def retried():
    """Breaks the first time and is tried again."""
    sample = Sample(input="Broken once.", target="fine", id="once")
    return Task(dataset=MemoryDataset([sample], name="retried"), solver=[fails_on("once", once=True), generate()], scorer=exact())


@task
def shots():
    """The sample's input holds an example of question and answer, before the real question."""
    shown = [
        ChatMessageSystem(content="Name the capital."),
        ChatMessageUser(content="France?"),
        ChatMessageAssistant(content="Paris"),
        ChatMessageUser(content="Italy?"),
    ]
    return Task(dataset=MemoryDataset([Sample(input=shown, target="Rome", id="italy")], name="shots"), solver=generate(), scorer=exact())


@task
def two_turns():
    """self_critique asks three times, and the last answer counts."""
    sample = Sample(input="How many legs has a spider?", target="8", id="spider")
    return Task(dataset=MemoryDataset([sample], name="two_turns"), solver=[generate(), self_critique()], scorer=match(location="any"))


@tool
def add():
    async def execute(x: int, y: int):
        """Add two numbers.

        Args:
            x: First number.
            y: Second number.
        """
        return x + y

    return execute


@task
def tools():
    """A tool call between question and answer."""
    sample = Sample(input="Use the tool: 3 plus 4?", target="7", id="sum")
    return Task(dataset=MemoryDataset([sample], name="tools"), solver=[use_tools(add()), generate()], scorer=match(location="any"))


@task
def picture():
    """An image beside the text."""
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    shown = [ChatMessageUser(content=[ContentText(text="What colour is it?"), ContentImage(image=pixel)])]
    return Task(dataset=MemoryDataset([Sample(input=shown, target="red", id="pixel")], name="picture"), solver=generate(), scorer=exact())


@task
def drafts():
    """Several choices of one call, and a long input that Inspect keeps as an attachment."""
    sample = Sample(input="Repeat the word kiwi. " + "This line only makes the prompt long. " * 40, target="kiwi", id="long")
    return Task(dataset=MemoryDataset([sample], name="drafts"), solver=generate(), scorer=exact())


@task
def thinking():
    """Thoughts as content blocks, tokens read from and written to the cache (Anthropic's shape)."""
    sample = Sample(input="What is 9 times 9?", target="81", id="nines")
    return Task(dataset=MemoryDataset([sample], name="thinking"), solver=generate(), scorer=match())
