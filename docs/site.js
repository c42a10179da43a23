// What the theme leaves out for people who use a keyboard or a screen reader.
document$.subscribe(() => {
  const named = { ".md-search": "Search", "#__search": "Search", "#__drawer": "Menu", ".md-search__input": "Search", ".md-search__scrollwrap": "Results" };
  for (const [selector, name] of Object.entries(named))
    for (const found of document.querySelectorAll(selector)) found.setAttribute("aria-label", name);
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code, .md-search__scrollwrap")) {
    wide.setAttribute("tabindex", "0"); // what scrolls can be scrolled by key
  }
});
