"""Chat templates that behave as the well-known ones do, and the same conversations laid out by plain Python.

`written` is the independent word on what a template does: text and answer spans built by concatenation.
"""

from __future__ import annotations

CHATML = """\
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Trims every message; a header in special tokens; begins with BOS; prints today's date.
LLAMA3 = """\
{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + strftime_now('%d %b %Y') }}
{%- if messages[0].role == 'system' %}
{{- '\\n\\n' + messages[0].content | trim }}{% set messages = messages[1:] %}{% endif %}{{- '<|eot_id|>' }}
{%- for m in messages %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}
{%- if m.tool_calls %}{{- '{"name": "' + m.tool_calls[0].function.name + '", "parameters": ' }}
{{- m.tool_calls[0].function.arguments | tojson }}{{- '}' }}
{%- elif m.role == 'tool' %}{{- m.content | tojson }}
{%- else %}{{- m.content | trim }}{% endif %}{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

# Merges the system message into the first user turn, calls the assistant "model", insists on alternation.
GEMMA = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
{%- set first = messages[0].content + '\\n\\n' %}{% set loop_messages = messages[1:] %}
{%- else %}{% set first = '' %}{% set loop_messages = messages %}{% endif %}
{%- for m in loop_messages %}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' }}
{{- first if loop.first else '' }}{{- m.content | trim }}{{- '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\\n' }}{% endif %}"""

# No generation prompt of its own: what follows [/INST] is a space that the template writes.
MISTRAL = """\
{{- bos_token }}
{%- for m in messages %}
{%- if m.role == 'user' %}{{- '[INST] ' + m.content + ' [/INST]' }}
{%- elif m.role == 'assistant' %}{{- ' ' + m.content | trim + eos_token }}
{%- else %}{{- raise_exception('Only user and assistant roles are supported!') }}{% endif %}
{%- endfor %}"""

PHI3 = """\
{%- for m in messages %}{{- '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% else %}{{- eos_token }}{% endif %}"""

# Puts in a system prompt where there is none; writes tools, tool calls and tool answers as tagged JSON.
QWEN25 = """\
{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}
{%- for tool in tools %}{{- tool | tojson + '\\n' }}{% endfor %}{{- '<|im_end|>\\n' }}
{%- elif messages[0].role != 'system' %}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}
{%- for m in messages %}
{%- if m.role == 'user' or m.role == 'system' or (m.role == 'assistant' and not m.tool_calls) %}
{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
{%- elif m.role == 'assistant' %}
{{- '<|im_start|>assistant' }}{% if m.content %}{{- '\\n' + m.content }}{% endif %}
{%- for call in m.tool_calls %}{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}{% endfor %}{{- '<|im_end|>\\n' }}
{%- elif m.role == 'tool' %}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
{{- '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Keeps the thought of the turns after the last question only; writes an empty one where the last turn has none.
QWEN3 = """\
{%- set ns = namespace(last=0) %}
{%- for m in messages %}
{%- if m.role == 'user' and not (m.content.startswith('<tool_response>') and m.content.endswith('</tool_response>')) %}
{%- set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for m in messages %}
{%- if m.role != 'assistant' %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
{%- else %}
{%- set content = m.content %}{% set thought = '' %}
{%- if m.reasoning_content is string %}{% set thought = m.reasoning_content %}
{%- elif '</think>' in content %}
{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}
{%- if loop.index0 > ns.last and (loop.last or thought) %}
{{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
{%- else %}{{- '<|im_start|>assistant\\n' + content }}{% endif %}
{%- for call in m.tool_calls or [] %}
{%- if loop.first and content or not loop.first %}{{- '\\n' }}{% endif %}
{{- '<tool_call>\\n' + (call | tojson) + '\\n</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking %}
{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"""

# The generation prompt opens a thought that the data's own turns do not have.
R1 = """\
{{- bos_token }}
{%- for m in messages %}
{%- if m.role == 'user' %}{{- '<|User|>' + m.content }}
{%- elif m.role == 'assistant' %}{{- '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|Assistant|><think>\\n' }}{% endif %}"""

GENERATION = """\
{%- for m in messages %}
{%- if m.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}{% generation %}{{- m.content + '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}
{%- else %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Rewrites what it is given: no sentinel survives it.
LOUD = """\
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content | upper + '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Tells a text without a space from others: a stand-in for one is laid out in another way.
FUSSY = """\
{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and ' ' not in m.content %}{{- '(one word) ' }}{% endif %}{{- m.content | trim }}
{{- '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"""

# Rewrites what it is given and knows no generation prompt: answers cannot be told from headers in any way.
HOPELESS = "{%- for m in messages | reverse %}{{- m.role + m.content | upper }}{% endfor %}"

VICUNA = """\
{%- for m in messages %}
{%- if m.role == 'assistant' %}{{- 'ASSISTANT: ' + m.content + eos_token }}
{%- else %}{{- 'USER: ' + m.content + ' ' }}{% endif %}
{%- endfor %}"""

Messages = list[tuple[str, str]]
Written = tuple[str, list[tuple[int, int]]]


def written(name: str, messages: Messages) -> Written:
    """Text of the conversation and the character span of each assistant answer in it."""
    return _WRITERS[name](messages)


def _chatml(messages: Messages) -> Written:
    return _join([(f"<|im_start|>{role}\n", role, text, "<|im_end|>\n") for role, text in messages])


def _llama3(messages: Messages) -> Written:
    system = "<s><|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul 2024"
    if messages[0][0] == "system":
        system += "\n\n" + messages[0][1].strip()
        messages = messages[1:]
    turns = [
        (f"<|start_header_id|>{role}<|end_header_id|>\n\n", role, text.strip(), "<|eot_id|>") for role, text in messages
    ]
    return _join([(system, "", "", "<|eot_id|>"), *turns])


def _gemma(messages: Messages) -> Written:
    first = ""
    if messages[0][0] == "system":
        first = messages[0][1] + "\n\n"
        messages = messages[1:]
    names = {"assistant": "model", "user": "user"}
    turns = [
        (f"<start_of_turn>{names[role]}\n" + (first if not i else ""), role, text.strip(), "<end_of_turn>\n")
        for i, (role, text) in enumerate(messages)
    ]
    return _join([("<s>", "", "", ""), *turns])


def _phi3(messages: Messages) -> Written:
    turns = [(f"<|{role}|>\n", role, text, "<|end|>\n") for role, text in messages]
    return _join([*turns, ("</s>", "", "", "")])


def _qwen25(messages: Messages) -> Written:
    text = "" if messages[0][0] == "system" else "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    return _join([(text, "", "", ""), *[(f"<|im_start|>{r}\n", r, t, "<|im_end|>\n") for r, t in messages]])


def _join(turns: list[tuple[str, str, str, str]]) -> Written:
    text, spans = "", []
    for before, role, content, after in turns:
        text += before
        if role == "assistant":
            spans.append((len(text), len(text) + len(content)))
        text += content + after
    return text, spans


_WRITERS = {
    "chatml": _chatml,
    "generation": _chatml,
    "llama3": _llama3,
    "gemma": _gemma,
    "phi3": _phi3,
    "qwen25": _qwen25,
}
TEMPLATES = {
    "chatml": CHATML,
    "generation": GENERATION,
    "llama3": LLAMA3,
    "gemma": GEMMA,
    "phi3": PHI3,
    "qwen25": QWEN25,
}
