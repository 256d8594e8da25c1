"""Answers with thoughts, as models write them."""

from __future__ import annotations

# Name of the marks -> what opens a thought, what closes it, what ends the answer.
MARKS: dict[str, tuple[str, str, str]] = {
    "think": ("<think>", "</think>", ""),
    "think with a suffix": ("<think:opq>", "</think:opq>", ""),
    "thinking": ("<thinking>", "</thinking>", ""),
    "budget:thinking": ("<budget:thinking>", "</budget:thinking>", ""),
    "reasoning": ("<reasoning>", "</reasoning>", ""),
    "thought": ("<thought>", "</thought>", ""),
    "seed": ("<seed:think>", "</seed:think>", ""),
    "minimax": ("<mm:think>", "</mm:think>", ""),
    "k2": ("<ifm|think_fast>", "</ifm|think_fast>", ""),
    "mistral": ("[THINK]", "[/THINK]", ""),
    "kimi": ("◁think▷", "◁/think▷", ""),
    "kimi k3": (
        "<|open|>think<|sep|>",
        "<|close|>think<|sep|><|open|>response<|sep|>",
        "<|close|>response<|sep|><|close|>message<|sep|>",
    ),
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>", "<|END_RESPONSE|>"),
    "harmony": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|return|>",
    ),
    "gemma": ("<|channel>thought\n", "<channel|>", "<turn|>"),
    "medgemma": ("<unused94>thought\n", "<unused95>", ""),
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>", ""),
    "plamo": ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>", ""),
    "sky": (
        "<|begin_of_thought|>",
        "<|end_of_thought|>\n\n<|begin_of_solution|>",
        "<|end_of_solution|>",
    ),
    "inkling": (
        "<|message_model|><|content_thinking|>",
        "<|end_message|><|message_model|><|content_text|>",
        "<|end_message|>",
    ),
    "muse": (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>", "<|eot|>"),
    "bare harmony": ("analysis", "assistantfinal", ""),
    "granite": ("Here is my thought process:", "Here is my response:", ""),
    "apriel": ("", "[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"),
    "reflection": ("<reflection>", "</reflection>", ""),
    "scratchpad": ("<scratchpad>", "</scratchpad>", ""),
}
# Marks that may be what a prompt asked for: they need a closing mark and an answer.
ASKED_FOR = ("granite", "reflection", "scratchpad")
# Their closing mark alone tells nothing.
NEVER_ALONE = (*ASKED_FOR, "inkling", "muse", "bare harmony")
TAGS = tuple(
    name for name, (opening, _, _) in MARKS.items() if opening[:1] == "<" and "|" not in opening
)
