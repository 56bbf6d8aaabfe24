"""Write docs/compatibility.md anew from the manifest and the table of routes: python -m tests.contract"""

from tests.contract.compatibility import PAGE, page
from tests.contract.manifest import promises

if __name__ == "__main__":
    PAGE.write_text(page(promises()), "utf-8")
