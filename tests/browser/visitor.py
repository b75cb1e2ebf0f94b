"""Somebody who looks at the console, in a browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page

WAIT: Final = 60_000.0
"""Milliseconds: the machine may be slow, and busy with other tests."""

WATCH: Final = """
addEventListener("securitypolicyviolation", (event) => console.error(`CSP: ${event.violatedDirective}`));
window.seen = { longTasks: [], paints: {} };
new PerformanceObserver((list) => window.seen.longTasks.push(...list.getEntries().map((e) => e.duration)))
  .observe({ type: "longtask", buffered: true });
"""


class Visitor:
    """One page, and what went wrong in it.

    Attributes:
        page: playwright's.
        problems: errors of the page, of its console and of its security policy.
        ignored: parts of texts of such problems that a test expects.
    """

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.problems: list[str] = []
        self.ignored: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self._note(str(error)))

    @classmethod
    async def arrive(
        cls,
        browser: Browser,
        url: str,
        *,
        size: tuple[int, int],
        scheme: str,
        live: bool = True,
        **options: Any,
    ) -> Self:
        """Open the address; with `live`, wait until the page shows everything."""
        context = await browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=cast("Any", scheme), **options
        )
        context.set_default_timeout(WAIT)
        await context.add_init_script(WATCH)
        visitor = cls(context, await context.new_page())
        await visitor.page.goto(url)
        if live:
            await visitor.page.wait_for_selector(".connection.live")
        return visitor

    async def leave(self) -> None:
        """Close the page: before its server ends, or the page complains that it is gone."""
        await self.context.close()

    async def go(self, view: str, sid: str | None = None) -> None:
        """Show a view, with a panel if there is a SID."""
        await self.page.evaluate(
            "(hash) => { location.hash = hash }", f"#/{view}" + (f"/{sid}" if sid else "")
        )
        await self.page.wait_for_selector(f'.nav-item[href="#/{view}"][aria-current="page"]')

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def sees(self, text: str, *, within: str = "body") -> None:
        """Wait until a text can be seen."""
        await self.page.locator(within).get_by_text(text).locator("visible=true").first.wait_for()

    async def until(self, script: str, *args: Any) -> None:
        """Wait until a script says yes. Not playwright's own waiting: it makes code of text in the page."""
        async with asyncio.timeout(WAIT / 1000):
            while not await self.page.evaluate(script, *args):
                await asyncio.sleep(0.05)

    async def value(self, script: str, *args: Any) -> Any:
        """What a script says."""
        return await self.page.evaluate(script, *args)

    async def overflow(self) -> list[str]:
        """What makes the page wider than the window, or is cut off without saying so."""
        return cast("list[str]", await self.page.evaluate(_OVERFLOW))

    async def faint(self) -> list[str]:
        """Texts with less contrast to what is behind them than WCAG 2 asks for at level AA."""
        return cast("list[str]", await self.page.evaluate(_FAINT))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(message.text)

    def _note(self, text: str) -> None:
        if not any(part in text for part in self.ignored):
            self.problems.append(text)


_OVERFLOW: Final = """() => {
  const found = [];
  const more = document.documentElement.scrollWidth - innerWidth;
  if (more > 0) found.push(`the page is ${more} px too wide`);
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest("[hidden], svg, option, .for-readers") || node.checkVisibility?.() === false) continue;
    const style = getComputedStyle(node);
    const name = `${node.tagName.toLowerCase()}.${node.className}`;
    const box = node.getBoundingClientRect();
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (style.clipPath !== "none") continue;
    if (box.width < 4 && text) found.push(`${name} has no room at all: ${node.textContent}`);
    if (box.width === 0) continue;
    const scrolls = node.closest(".chips, .json, select, datalist");
    if (!scrolls && box.right > innerWidth + 1) found.push(`${name} ends at ${box.right}`);
    const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const cut = node.scrollWidth > node.clientWidth + 1 && style.overflowX !== "visible";
    const told = style.textOverflow === "ellipsis" && node.title;
    let clip = node.parentElement;
    while (clip && !/hidden|clip/.test(getComputedStyle(clip).overflowX)) clip = clip.parentElement;
    if (said && clip && !scrolls && box.right > clip.getBoundingClientRect().right + 1) {
      found.push(`${name} is behind the edge: ${node.textContent}`);
    }
    const little = node.textContent.trim().length > 3 && node.clientWidth && node.clientWidth < 20;
    if (said && little && cut) found.push(`${name} has no room: ${node.textContent}`);
    if (said && cut && !scrolls && !told) found.push(`${name} is cut: ${node.textContent}`);
  }
  return [...new Set(found)].slice(0, 10);
}"""


_FAINT: Final = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (part) => (part <= 10 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!said || !node.checkVisibility() || node.disabled) continue;
    let [behind, color] = [node, [0, 0, 0, 0]];
    for (; behind && color[3] < 250; behind = behind.parentElement) {
      color = rgba(getComputedStyle(behind).backgroundColor);
    }
    const [most, least] = [light(rgba(getComputedStyle(node).color)), light(color)].sort((a, b) => b - a);
    const contrast = (most + 0.05) / (least + 0.05);
    if (contrast < 4.5) found.push(`${node.className || node.tagName}: ${contrast.toFixed(2)}`);
  }
  return [...new Set(found)];
}"""
