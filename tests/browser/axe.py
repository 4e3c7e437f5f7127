"""axe, which finds what a screen reader, a keyboard or weak eyes would stumble over."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import Page

AXE_RUN = """async () => {
  const { violations } = await axe.run();
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id}: ${help}: ${target.join(" ")}`));
}"""


class Axe:
    """axe-core, from the packages in ``node_modules``."""

    def __init__(self, node_modules: Path) -> None:
        self.script = (node_modules / "axe-core/axe.min.js").read_text("utf-8")

    async def violations(self, page: Page) -> list[str]:
        """Return what every rule of axe finds on the page as it is now."""
        await page.evaluate(f"() => {{ if (!window.axe) {{ {self.script} }} }}")
        found: list[str] = await page.evaluate(AXE_RUN)
        return found
