(() => {
  const PAGE = 25;
  const data = JSON.parse(document.getElementById("error-data").textContent);
  const $ = (id) => document.getElementById(id);

  // What this script says has its Vietnamese in a dictionary of the page; languages.js does the rest.
  const number = (n, digits = 0) => inLanguage(n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  const t = (text, values = {}) => {
    const said = document.documentElement.lang === "vi" && Object.hasOwn(data.texts, text) ? data.texts[text] : text;
    return said.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  };
  const form = $("filters"), list = $("error-list"), count = $("error-count"), more = $("more");
  if (!list) return;

  // Without marks, so that "man hinh" finds "màn hình"; where the query has marks, they count.
  const lower = (text) => text.normalize("NFC").toLowerCase();
  const bare = (text) => lower(text).normalize("NFD").replace(/\p{M}/gu, "").replace(/đ/g, "d");
  const texts = data.reviews.map((review) => lower(review.id + " " + review.w.join("")));
  const bareTexts = data.reviews.map((review) => bare(review.id + " " + review.w.join("")));

  let found = [], shown = 0;

  const make = (name, kind, text) => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const card = (error) => {
    const review = data.reviews[error.r];
    const item = make("li", "error");
    const head = make("div", "head");
    head.append(make("strong", "", data.aspects[error.a]), make("span", "kind k" + error.k, t(data.kinds[error.k])));
    head.append(make("span", "", t("label: {gold} → model: {said}", { gold: t(error.g), said: t(error.s) })));
    head.append(make("span", "", t("confidence {percent} %", { percent: number(100 * error.c, 2) })));
    const id = make("span", "soft", t("review") + " ");
    id.append(make("bdi", "", review.id));
    if (review.row) id.append(", " + t("row {n}", { n: review.row }));
    if (review.line) id.append(", " + t("line {n}", { n: review.line }));
    head.append(id);
    if (error.q) head.append(make("span", "suspect", t("suspected label error")));
    const text = make("p", "text");
    text.lang = "vi";
    text.dir = "auto";
    review.w.forEach((word, i) => {
      const shade = error.x ? error.x[i] : 0;
      if (!shade) return text.append(word);
      const letters = word.trimEnd();
      text.append(make("span", (shade > 0 ? "p" : "n") + Math.abs(shade), letters), word.slice(letters.length));
    });
    if (review.cut) text.append(make("span", "soft", " … " + t("({n} more characters)", { n: number(review.cut) })));
    item.append(head, text);
    if (!error.x) item.append(make("div", "soft", t("Not among the errors whose words are coloured.")));
    return item;
  };

  const showMore = () => {
    const part = document.createDocumentFragment();
    for (const error of found.slice(shown, shown + PAGE)) part.append(card(error));
    const first = part.firstElementChild;
    list.append(part);
    shown = Math.min(found.length, shown + PAGE);
    // what is too long scrolls, and what scrolls has to be reachable by keyboard
    for (const text of list.querySelectorAll(".text:not([tabindex])")) {
      if (text.scrollHeight > text.clientHeight + 1) text.tabIndex = 0;
    }
    more.hidden = shown >= found.length;
    count.textContent = found.length === 1 ? t("1 error") : found.length
      ? t("{n} errors, {shown} shown", { n: number(found.length), shown: number(shown) })
      : t("No error fits these filters.");
    return first;
  };

  const filter = () => {
    const query = form.search.value.trim();
    const marked = bare(query) !== lower(query);
    const wanted = marked ? lower(query) : bare(query), where = marked ? texts : bareTexts;
    const least = Number(form.confidence.value) / 100;
    $("confidence-value").textContent = form.confidence.value + " %";
    found = data.errors.filter((error) =>
      (form.aspect.value === "" || error.a === Number(form.aspect.value)) &&
      (form.kind.value === "" || error.k === Number(form.kind.value)) &&
      error.c >= least && (!form.suspect.checked || error.q) && (!form.coloured.checked || error.x) &&
      (!wanted || where[error.r].includes(wanted)));
    if (form.order.value === "up") found.reverse();
    list.replaceChildren();
    shown = 0;
    showMore();
  };

  document.addEventListener("language", filter);
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
  more.addEventListener("click", () => {
    const first = showMore();
    if (first) { first.tabIndex = -1; first.focus({ preventScroll: true }); }
  });
  form.hidden = false;
  filter();
})();
