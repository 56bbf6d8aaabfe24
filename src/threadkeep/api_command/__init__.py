"""`threadkeep api METHOD PATH`: one call to any server of this API, answered for a person or a program.

Follows the node "Create Message" of KNIME: its result format "Raw Response" is one row with the columns
`body` and `status`, and that is the default here. Standard library only; no redirect is followed and no
proxy is asked, so the key goes to the server that was named and nowhere else.
"""

from threadkeep.api_command.command import add_parser

__all__ = ["add_parser"]
