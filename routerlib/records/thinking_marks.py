"""How models mark their thoughts in the text of an answer: one row per kind of mark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class ThinkingMarks:
    """One way of marking a thought.

    `opening`, `closing`: regular expressions, blind to case.
    `models`, `source`: who writes them so, and where that was read (package, version, file).
    `may_stand_alone`: whether the closing mark alone ends a thought, since the opening one may
        stand in the prompt.
    `is_asked_for`: whether they may as well be what a prompt asks for: then they mark a thought
        only where it is closed and an answer follows.
    """

    hint: str
    opening: str
    closing: str
    models: str
    source: str
    may_stand_alone: bool = True
    is_asked_for: bool = False

    @cached_property
    def opens(self) -> re.Pattern[str]:
        """The compiled opening mark."""
        return re.compile(self.opening, re.IGNORECASE)

    @cached_property
    def closes(self) -> re.Pattern[str]:
        """The compiled closing mark."""
        return re.compile(self.closing, re.IGNORECASE)


def _tag(
    hint: str, name: str, models: str, source: str, *, is_asked_for: bool = False
) -> ThinkingMarks:
    opening, closing = rf"<{name}(?:\s[^<>]{{0,999}})?>", rf"</{name}\s?>"
    return ThinkingMarks(hint, opening, closing, models, source, not is_asked_for, is_asked_for)


def _channel(name: str) -> str:
    """Match a header of the harmony format: <|start|>assistant<|channel|>final<|message|>."""
    mode = r"[^<]{0,99}(?:<\|constrain\|>[^<]{0,99})?"
    return rf"(?:<\|start\|>assistant)?<\|channel\|>\s?{name}\b{mode}<\|message\|>"


MARKS: tuple[ThinkingMarks, ...] = (
    _tag(
        "think",
        r"think(?::[^\s<>/]+)?",
        "DeepSeek R1 and later, Qwen3, QwQ, GLM 4.5, Kimi K2, MiniMax M2, Nemotron 3, Step3, Olmo "
        "3, Granite 4, Magistral as plain text; with a suffix: Tencent Hy",
        "vllm 0.33.0 reasoning/deepseek_r1, step3, minimax_m2, hy_v3; sglang 0.5.23 "
        "srt/parser/reasoning_parser.py; with attributes: inspect-ai 0.3.285 model/_reasoning.py",
    ),
    _tag(
        "thinking",
        "(?:budget:)?thinking",
        "Claude as prompted and through gateways, many fine-tunes",
        "pydantic-ai-slim 2.68.0 profiles/anthropic.py; litellm 1.110.2 (budget:thinking)",
    ),
    _tag(
        "reasoning",
        "reasoning",
        "gpt-oss and Kimi K2 on Bedrock, fine-tunes",
        "litellm 1.110.2 llms/bedrock/chat/chat_completions/transformation.py",
    ),
    _tag(
        "thought",
        "thought",
        "Gemini and Gemma behind the OpenAI-compatible endpoint, EXAONE Deep",
        "recorded answers in public repositories",
    ),
    _tag(
        "seed:think",
        "seed:think",
        "ByteDance Seed-OSS",
        "vllm 0.33.0 parser/seed_oss.py; llama.cpp models/templates/ByteDance-Seed-OSS.jinja",
    ),
    _tag("mm:think", "mm:think", "MiniMax M3", "vllm 0.33.0 minimax_m3_reasoning_parser.py"),
    _tag(
        "ifm|think",
        r"ifm\|think(?:_fast|_faster)?",
        "K2 Horizon, K2 v3",
        "sglang 0.5.23 K2V3Detector; vllm 0.33.0 k2_horizon_reasoning_parser.py",
    ),
    ThinkingMarks(
        "think]",
        r"\[THINK\]",
        r"\[/THINK\]",
        "Magistral, Ministral 3 Reasoning, Mistral Small 4",
        "sglang 0.5.23 MistralDetector; vllm 0.33.0 parser/mistral.py",
    ),
    ThinkingMarks(
        "think▷",
        "◁think▷",
        "◁/think▷",
        "Kimi VL Thinking, Kimi k1.5",
        "sglang 0.5.23 KimiDetector",
    ),
    ThinkingMarks(
        "think",
        r"<\|open\|>\s?think\s?<\|sep\|>",
        r"<\|close\|>\s?think\s?<\|sep\|>(?:\s*<\|open\|>\s?response\s?<\|sep\|>)?",
        "Kimi K3",
        "sglang 0.5.23 KimiK3Detector; vllm 0.33.0 kimi_k3_reasoning_parser.py",
    ),
    ThinkingMarks(
        "_thinking|>",
        r"<\|START_THINKING\|>",
        r"<\|END_THINKING\|>(?:\s*<\|START_(?:RESPONSE|TEXT)\|>)?",
        "Cohere Command R7B and A reasoning, Command 4",
        "vllm 0.33.0 cohere_command_reasoning_parser.py; sglang 0.5.23 CohereCommand4Detector",
    ),
    ThinkingMarks(
        "<|channel|>",
        _channel("(?:analysis|commentary)"),
        rf"(?:<\|(?:end|call)\|>\s*)?{_channel('final')}",
        "gpt-oss (harmony)",
        "llama.cpp common/parsers/gpt-oss.cpp; sglang 0.5.23 GptOssDetector",
    ),
    ThinkingMarks(
        "analysis",
        "(?-i:analysis(?=[A-Z]))",
        "assistantfinal",
        "gpt-oss (harmony) where the decoder drops its special tokens: analysisThe user asks",
        "parsers with tests in public repositories",
        may_stand_alone=False,
    ),
    ThinkingMarks(
        "analysis",
        "(?-i:analysis)",
        "assistantfinal",
        "the same, begun in any way, as a common answer may be too",
        "parsers with tests in public repositories",
        may_stand_alone=False,
        is_asked_for=True,
    ),
    ThinkingMarks(
        "channel",
        r"<\|channel>thought\b",
        r"<channel\|>",
        "Gemma 4",
        "llama.cpp common/parsers/gemma4.cpp; vllm 0.33.0 reasoning/gemma4_utils.py",
    ),
    ThinkingMarks(
        "<unused9",
        r"<unused94>(?:thought\b)?",
        "<unused95>",
        "MedGemma 1.5, Gemma 3n variants",
        "tests in public repositories",
    ),
    ThinkingMarks(
        "<|inner_",
        r"<\|inner_prefix\|>",
        r"<\|inner_suffix\|>",
        "Apertus 2509",
        "sglang 0.5.23 Apertus2509Detector",
    ),
    ThinkingMarks(
        "<|content_thinking|>",
        r"<\|content_thinking\|>",
        r"<\|end_message\|>(?:\s*<\|message_model\|>)?(?:\s*<\|content_text\|>)?",
        "Inkling",
        "vllm 0.33.0 parser/inkling.py; sglang 0.5.23 InklingDetector",
        may_stand_alone=False,
    ),
    ThinkingMarks(
        "to=self",
        r"to=self<\|message\|>",
        r"<\|eom\|>(?:\s*<\|start\|>assistant)?(?:\s*to=user<\|message\|>)?",
        "Muse, Glimmer",
        "sglang 0.5.23 MuseGlimmerDetector; vllm 0.33.0 muse_reasoning_parser.py",
        may_stand_alone=False,
    ),
    ThinkingMarks(
        ":plamo|>",
        r"<\|plamo:begin_think:plamo\|>",
        r"<\|plamo:end_think:plamo\|>",
        "PLaMo 3",
        "vllm 0.33.0 parser/plamo3.py",
    ),
    ThinkingMarks(
        "_of_thought|>",
        r"<\|begin_of_thought\|>",
        r"<\|end_of_thought\|>(?:\s*<\|begin_of_solution\|>)?",
        "Sky-T1 and what learnt from OpenThoughts",
        "parsers in public repositories",
    ),
    ThinkingMarks(
        "my thought process",
        r"here(?:'s| is) my thought process:",
        r"here(?:'s| is) my response:",
        "IBM Granite 3.2",
        "vllm 0.33.0 granite_reasoning_parser.py",
        may_stand_alone=False,
        is_asked_for=True,
    ),
    ThinkingMarks(
        "[begin final response]",
        "(?!)",
        r"\[BEGIN FINAL RESPONSE\]",
        "ServiceNow Apriel 1.5 and 1.6 Thinker, which write no opening mark",
        "llama.cpp models/templates/unsloth-Apriel-1.5.jinja",
    ),
    _tag(
        "<",
        "(?:reason|reflection|scratchpad|analysis|inner_monologue|internal)",
        "fine-tunes such as Reflection-70B, and whatever a prompt asks for",
        "functions that take them out in public repositories",
        is_asked_for=True,
    ),
)

# What may stand before a thought or an answer: tokens that open a turn.
HEADER = re.compile(
    r"(?:\s|<s>|<\|im_start\|>assistant|<｜begin▁of▁sentence｜>|<\|message_model\|>"
    r"|<\|start\|>assistant(?!\s*<\|channel\|>)|<\|content_text\|>)*",
    re.IGNORECASE,
)
# What may stand behind an answer: tokens that end a turn.
ENDS = re.compile(
    r"(?:\s|<\|(?:im_end|endoftext|return|end|eot_id|eot|eom|end_of_msg|end_message|END_RESPONSE"
    r"|END_TEXT|end_of_solution|END_OF_TURN_TOKEN)\|>|\[EOS\]|\[END FINAL RESPONSE\]|<turn\|>|</s>"
    r"|<｜end▁of▁sentence｜>|<\|close\|>\s?(?:response|message)\s?<\|sep\|>)+\Z",
    re.IGNORECASE,
)
# What some models put around all of the answer that follows a thought.
WRAPPERS = tuple(
    re.compile(rf"<{name}>(?P<answer>(?:(?!</?{name}>)[\s\S])*)</{name}>\Z", re.IGNORECASE)
    for name in ("answer", "response", "output")
)

# What may become an opening mark, or one that opens a turn, once more of the text has come.
BEGINNING = re.compile(
    r"(?:<[^\s<>|]*(?:\s[^<>\n]{0,999})?|<\|[^\n]{0,99}|<[^\n<>]{0,40}|\[[a-z/]{0,8}|◁[^▷\n]{0,8})\Z",
    re.IGNORECASE,
)
BEGINNINGS = (
    "analysis",
    "to=self<|message|>",
    "to=user<|message|>",
    *(f"{here} my thought process:" for here in ("here is", "here's")),
)
