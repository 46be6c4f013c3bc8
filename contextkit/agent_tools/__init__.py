"""Tools with which a model manages its own context: fetch back, search, note down, make room.

tools = AgentTools(thread)
call = thread.assemble("What was the gate?", tools=tools.tools)
reply = ...                             # ask the model
thread.record(call, reply)
thread.append(tools.answer(reply))      # the results of its calls, ready for the next call
"""

from __future__ import annotations

from contextkit.agent_tools.acts import Answer
from contextkit.agent_tools.limits import Limits
from contextkit.agent_tools.schemas import NAMES, TOOLS
from contextkit.agent_tools.toolbox import AgentTools

__all__ = ["NAMES", "TOOLS", "AgentTools", "Answer", "Limits"]
