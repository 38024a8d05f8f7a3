// Which questions are shown, and in which order: search, filter and sort over all of them, without touching the page.

class AnswerIndex {
  /** Each text of the data stands once in `strings`; all else refers to it by number. */
  constructor(data) {
    this.data = data;
    this.count = data.ids.length;
    this.lower = null;
  }

  text(number) { return this.data.strings[number]; }

  /** Return the numbers of the texts of one question that a scope covers. */
  fields(question, scope) {
    const { questions, references, runs } = this.data;
    const fields = [];
    if (scope === "all" || scope === "questions") fields.push(questions[question]);
    if (scope === "all" || scope === "references") fields.push(references[question]);
    if (scope === "all" || scope === "answers") for (const run of runs) fields.push(run.answers[question]);
    return fields;
  }

  /** Return the questions in which every word of the query occurs, in the order of the test set. */
  search(query, scope, department) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !this.lower) this.lower = this.data.strings.map((text) => text.toLowerCase());
    const hits = words.map((each) => this.lower.map((text) => text.includes(each)));
    const found = [];
    for (let question = 0; question < this.count; question += 1) {
      if (department != null && this.data.departments[question] !== department) continue;
      const fields = hits.length ? this.fields(question, scope) : [];
      const id = this.data.ids[question].toLowerCase();
      const all = hits.every((hit, n) => fields.some((field) => hit[field]) || (scope === "all" && id === words[n]));
      if (all) found.push(question);
    }
    return found;
  }

  /** Return the value that a question is sorted by: a run's score, less that of another where one is given. */
  value(question, metric, run, other) {
    const score = (number) => this.data.runs[number].scores[metric]?.[question] ?? null;
    const one = score(run);
    if (other == null || one === null) return one;
    const two = score(other);
    return two === null ? null : one - two;
  }

  /** Sort questions by a score or a difference; those without one come last, ties keep the order of the test set. */
  sort(questions, metric, run, other, descending) {
    const keys = new Map(questions.map((question) => [question, this.value(question, metric, run, other)]));
    return [...questions].sort((one, two) => {
      const [a, b] = [keys.get(one), keys.get(two)];
      if (a === null || b === null) return (a === null) - (b === null) || one - two;
      return (descending ? b - a : a - b) || one - two;
    });
  }
}

/** Cut a text where the words of the query stand in it: [piece, whether it is a hit], … */
function markHits(text, words) {
  const lower = text.toLowerCase();
  if (!words.length || lower.length !== text.length) return [[text, false]];
  const pieces = [];
  let start = 0;
  while (start < text.length) {
    let [at, length] = [-1, 0];
    for (const each of words) {
      const place = lower.indexOf(each, start);
      if (place >= 0 && (at < 0 || place < at || (place === at && each.length > length))) [at, length] = [place, each.length];
    }
    if (at < 0) break;
    if (at > start) pieces.push([text.slice(start, at), false]);
    pieces.push([text.slice(at, at + length), true]);
    start = at + length;
  }
  if (start < text.length) pieces.push([text.slice(start), false]);
  return pieces;
}
