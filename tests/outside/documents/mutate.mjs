/** Documents with something changed at random: most of them are wrong, some remain right. */

import { isInputType, Lexer, Source, TokenKind } from "graphql";

const PUNCTUATORS = ["!", "$", "&", "(", ")", "...", ":", "=", "@", "[", "]", "{", "|", "}", ",", "#", "\r", "\uFEFF"];
const STRANGE = ["\u0000", "\u00a0", "\u2028", ";", "'", "\\", '"', '"""', "%", ".", "-", "0", "01", "1e", "\u{1F600}"];
const LITERALS = ["0", "-1", "1.5", "2147483648", "1e3", '"a"', '"""b"""', "true", "null", "ENUM", "[]", "[1]", "{}"];
const DIRECTIVES = ["@skip(if: true)", "@include(if: false)", "@skip", "@include(if: 1)", "@deprecated", "@nothing"];
const SELECTIONS = ["__typename", "id", "role", "nothing", "...Missing", "... { __typename }", "... on Node { id }"];
const SELECTION_STRANGE = ["{ id }", "{ }", "{ __typename }"];

/** The document with one change, or a few. */
export function mutate(schema, document, random) {
  let text = document;
  const changes = random.pick([1, 1, 1, 2, 3]);
  for (let i = 0; i < changes; i += 1) {
    const pieces = split(text);
    if (!pieces) break;
    const changed = random.pick(CHANGES)(pieces, random, schema);
    if (changed) text = changed.map(({ before, text }) => before + text).join("");
  }
  return text;
}

/** The tokens, each with what stands before it; undefined where it has no tokens that can be told. */
function split(text) {
  const lexer = new Lexer(new Source(text));
  const pieces = [];
  let end = 0;
  try {
    for (let token = lexer.advance(); ; token = lexer.advance()) {
      const before = text.slice(end, token.start);
      pieces.push({ kind: token.kind, before, text: text.slice(token.start, token.end) });
      end = token.end;
      if (token.kind === TokenKind.EOF) return pieces;
    }
  } catch {
    return undefined;
  }
}

const LITERAL_KINDS = [TokenKind.INT, TokenKind.FLOAT, TokenKind.STRING, TokenKind.BLOCK_STRING];
const isLiteral = ({ kind }) => LITERAL_KINDS.includes(kind);
const isName = ({ kind }) => kind === TokenKind.NAME;
const isAlias = (piece, index, pieces) => isName(piece) && pieces[index + 1]?.kind === TokenKind.COLON;
const isVariableType = (piece, index, pieces) =>
  isName(piece) && pieces[index - 1]?.kind === TokenKind.COLON && pieces[index - 3]?.kind === TokenKind.DOLLAR;

/** The places of the pieces that `wanted` holds for. */
const places = (pieces, wanted) => [...pieces.keys()].filter((index) => wanted(pieces[index], index, pieces));
const anywhere = (pieces, random) => random.int(0, Math.max(pieces.length - 2, 0));
const piece = (text) => ({ kind: "", before: " ", text });

function replaceOne(wanted, replacement) {
  return (pieces, random, schema) => {
    const found = places(pieces, wanted);
    if (found.length === 0) return undefined;
    const index = random.pick(found);
    const text = replacement({ pieces, random, schema, old: pieces[index].text });
    return pieces.with(index, { ...pieces[index], text });
  };
}

/** The end of the brackets that open at `start`, or undefined. */
function closing(pieces, start) {
  let open = 0;
  for (let index = start; index < pieces.length; index += 1) {
    if (["(", "[", "{"].includes(pieces[index].kind)) open += 1;
    if ([")", "]", "}"].includes(pieces[index].kind)) open -= 1;
    if (open === 0) return index;
  }
  return undefined;
}

function typeNames(schema) {
  return Object.keys(schema.getTypeMap());
}

const CHANGES = [
  function drop(pieces, random) {
    return pieces.toSpliced(anywhere(pieces, random), 1);
  },
  function duplicate(pieces, random) {
    const index = anywhere(pieces, random);
    return pieces.toSpliced(index, 0, { ...pieces[index], before: " " });
  },
  function swap(pieces, random) {
    const [a, b] = [anywhere(pieces, random), anywhere(pieces, random)];
    return pieces.with(a, { ...pieces[b], before: " " }).with(b, { ...pieces[a], before: " " });
  },
  function insert(pieces, random) {
    const inserted = random.pick(random.chance(0.5) ? PUNCTUATORS : STRANGE);
    return pieces.toSpliced(anywhere(pieces, random), 0, piece(inserted));
  },
  replaceOne(isName, ({ pieces, random }) => random.pick(pieces.filter(isName)).text),
  replaceOne(isName, ({ random, schema }) => {
    const type = schema.getType(random.pick(typeNames(schema)));
    const fields = type.getFields ? Object.keys(type.getFields()) : [type.name];
    return random.pick(fields);
  }),
  replaceOne(isName, ({ old }) => `${old}X`),
  replaceOne(isLiteral, ({ random }) => random.pick(LITERALS)),
  replaceOne(
    (piece, index, pieces) => isLiteral(piece) || (isName(piece) && pieces[index - 1]?.kind === TokenKind.COLON),
    ({ random }) => random.pick(LITERALS),
  ),
  // The condition of a fragment.
  replaceOne(
    (piece, index, pieces) => isName(piece) && pieces[index - 1]?.text === "on",
    ({ random, schema }) => random.pick(typeNames(schema)),
  ),
  // The type of a variable.
  replaceOne(
    isVariableType,
    ({ random, schema }) => random.pick(typeNames(schema).filter((name) => isInputType(schema.getType(name)))),
  ),
  replaceOne(
    isVariableType,
    ({ old, random }) => random.pick([`[${old}]`, `[${old}!]`, `${old}!`]),
  ),
  // A bang less.
  function nullable(pieces, random) {
    const found = places(pieces, ({ kind }) => kind === TokenKind.BANG);
    return found.length ? pieces.toSpliced(random.pick(found), 1) : undefined;
  },
  // A variable's definition less: `$name: Type`, and what follows up to the next one.
  function undefine(pieces, random) {
    const isDefinition = ({ kind }, index) => kind === TokenKind.DOLLAR && pieces[index + 2]?.kind === TokenKind.COLON;
    const found = places(pieces, isDefinition);
    if (found.length === 0) return undefined;
    const start = random.pick(found);
    let end = start + 1;
    while (end < pieces.length && !isDefinition(pieces[end], end) && pieces[end].kind !== TokenKind.PAREN_R) end += 1;
    return pieces.toSpliced(start, end - start);
  },
  // A variable for a value.
  function variable(pieces, random) {
    const found = places(pieces, isLiteral);
    const variables = places(pieces, ({ kind }) => kind === TokenKind.DOLLAR);
    if (found.length === 0) return undefined;
    const name = variables.length ? pieces[random.pick(variables) + 1].text : "missing";
    return pieces.with(random.pick(found), piece(`$${name}`));
  },
  // All that stands in brackets less, or twice.
  function group(pieces, random) {
    const found = places(pieces, ({ kind }) => ["(", "[", "{"].includes(kind));
    if (found.length === 0) return undefined;
    const start = random.pick(found);
    const end = closing(pieces, start);
    if (end === undefined) return undefined;
    const inner = pieces.slice(start + 1, end);
    return random.pick([
      () => pieces.toSpliced(start, end - start + 1),
      () => pieces.toSpliced(start + 1, inner.length),
      () => pieces.toSpliced(end, 0, piece(""), ...inner),
    ])();
  },
  function directive(pieces, random) {
    const found = places(pieces, ({ kind }) => kind === TokenKind.NAME || kind === TokenKind.PAREN_R);
    return found.length ? pieces.toSpliced(random.pick(found) + 1, 0, piece(random.pick(DIRECTIVES))) : undefined;
  },
  function selection(pieces, random) {
    const found = places(pieces, ({ kind }) => kind === TokenKind.BRACE_L);
    const more = random.pick(random.chance(0.8) ? SELECTIONS : SELECTION_STRANGE);
    return found.length ? pieces.toSpliced(random.pick(found) + 1, 0, piece(more)) : undefined;
  },
  // The same field with another argument, or another field by the same name.
  replaceOne(
    (piece, index, pieces) => isAlias(piece, index, pieces) && pieces[index - 1]?.kind !== TokenKind.DOLLAR,
    ({ pieces, random }) => pieces[random.pick(places(pieces, isAlias))].text,
  ),
  function endEarly(pieces, random) {
    return random.chance(0.3) ? pieces.slice(0, anywhere(pieces, random)) : undefined;
  },
];
