/** Operations that walk a schema at random: most of them are valid. */

import {
  getNamedType,
  getNullableType,
  isAbstractType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from "graphql";

/** The most fields below each other. */
const DEPTH_MAX = 7;
/** How many fields a document has, roughly at most. */
const FIELDS_MAX = 40;

const INTROSPECTION = [
  "__typename",
  "__schema { queryType { name } types { name kind } }",
  '__type(name: "Query") { name fields(includeDeprecated: true) { name type { name } } }',
];
const STRINGS = ['""', '"a"', '"caf\u00e9 \u{1F600}"', String.raw`"\u0041\n\"\u{1F600}"`, '"""a\n  block"""', '"x y"'];
const IDS = ['"a"', "1", '"Q29ubmVjdG9yOjE="'];
const INTS = ["0", "1", "-5", "25", "2147483647", "-2147483648"];
const JSONS = ["1", "-2.5e3", "true", '"text"', "ENUM", "[]", "{}", "[1, [null]]", '{ a: 1, b: { c: [true, "x"] } }'];

/** A random operation, or two, with the fragments that belong to it. */
export function generate(schema, random) {
  return new Generator(schema, random).document();
}

class Generator {
  constructor(schema, random) {
    this.schema = schema;
    this.random = random;
    this.fields = 0;
    this.names = 0;
    /** Name to declaration. */
    this.variables = new Map();
    /** Name, type, depth and text of each. */
    this.fragments = [];
  }

  document() {
    const { random, schema } = this;
    const count = random.chance(0.15) ? 2 : 1;
    const operations = Array.from({ length: count }, (_, index) => {
      const kind = random.pick(["query", "query", "query", "mutation", "subscription"]);
      const root = schema.getRootType(kind);
      const selection = kind === "subscription" ? this.singleRoot(root) : this.set(root, DEPTH_MAX);
      const name = count > 1 || random.chance(0.5) ? `Operation${index}` : "";
      return { kind, name, selection };
    });
    const texts = operations.map(({ kind, name, selection }) => {
      const declared = this.declarations(selection);
      const short = kind === "query" && !name && !declared && random.chance(0.5);
      return short ? selection : `${kind} ${name}${declared} ${selection}`;
    });
    const fragments = this.fragments.map(({ text }) => text);
    const definitions = random.chance(0.8) ? [...texts, ...fragments] : [...fragments, ...texts];
    return definitions.join(random.pick(["\n", " ", "\r\n\n"]));
  }

  singleRoot(root) {
    return `{ ${this.field(this.random.pick(fieldsOf(root)), DEPTH_MAX - 1, { plain: true })} }`;
  }

  /** The definitions of the variables that a selection uses, through its fragments too. */
  declarations(selection) {
    const seen = new Set();
    const texts = [selection];
    for (const text of texts) {
      for (const [, name] of text.matchAll(/\.\.\.(\w+)/g)) {
        const fragment = this.fragments.find((fragment) => fragment.name === name);
        if (fragment && !seen.has(name)) {
          seen.add(name);
          texts.push(fragment.text);
        }
      }
    }
    const names = new Set(texts.flatMap((text) => [...text.matchAll(/\$(\w+)/g)].map(([, name]) => name)));
    const used = [...this.variables].filter(([name]) => names.has(name)).map(([, declaration]) => declaration);
    return used.length ? `(${used.join(this.random.pick([", ", " "]))})` : "";
  }

  set(type, depth) {
    const { random } = this;
    const parts = [];
    const wanted = random.int(1, 4);
    for (let i = 0; i < wanted; i += 1) parts.push(this.selection(type, depth));
    return `{ ${parts.join(random.pick([" ", " ", ", ", "\n"]))} }`;
  }

  selection(type, depth) {
    const { random } = this;
    const roll = random.next();
    if (type === this.schema.getQueryType() && roll > 0.97) return random.pick(INTROSPECTION);
    if (roll < 0.15) return this.inline(type, depth);
    if (roll < 0.27) return this.spread(type, depth);
    const fields = isUnionType(type) ? [] : fieldsOf(type);
    const deeper = depth > 1 && this.fields < FIELDS_MAX;
    const open = fields.filter((field) => deeper || !isCompositeType(getNamedType(field.type)));
    if (roll < 0.31 || open.length === 0) {
      return isAbstractType(type) && depth > 1 && random.chance(0.7) ? this.inline(type, depth) : "__typename";
    }
    return this.field(random.pick(open), depth - 1);
  }

  field(field, depth, { plain = false } = {}) {
    const { random } = this;
    this.fields += 1;
    const arguments_ = field.args
      .filter((argument) => isNonNullType(argument.type) || random.chance(0.3))
      .map((argument) => `${argument.name}: ${this.value(argument, 0)}`);
    // A field with arguments always has a name of its own: two of them would conflict.
    const alias = arguments_.length > 0 || random.chance(0.1) ? `${this.name("f")}: ` : "";
    const given = arguments_.length ? `(${arguments_.join(", ")})` : "";
    const directives = plain ? "" : this.directives();
    const inner = getNamedType(field.type);
    const set = isCompositeType(inner) ? ` ${this.set(inner, Math.max(depth, 0))}` : "";
    return `${alias}${field.name}${given}${directives}${set}`;
  }

  inline(type, depth) {
    const { random } = this;
    if (random.chance(0.15)) return `...${this.directives()} ${this.set(type, depth)}`;
    const condition = this.condition(type);
    return `... on ${condition.name}${this.directives()} ${this.set(condition, depth)}`;
  }

  spread(type, depth) {
    const { random } = this;
    const condition = this.condition(type);
    const known = this.fragments.find((fragment) => fragment.type === condition && fragment.depth <= depth);
    if (known && random.chance(0.7)) return `...${known.name}${this.directives()}`;
    if (this.fragments.length >= 4 || this.fields >= FIELDS_MAX) return "__typename";
    const name = this.name("Part");
    const set = this.set(condition, depth);
    this.fragments.push({ name, type: condition, depth, text: `fragment ${name} on ${condition.name} ${set}` });
    return `...${name}${this.directives()}`;
  }

  /** A type whose fragment may stand in this one. */
  condition(type) {
    const { random, schema } = this;
    if (isAbstractType(type)) return random.chance(0.85) ? random.pick(schema.getPossibleTypes(type)) : type;
    const wider = isObjectType(type) ? type.getInterfaces() : [];
    return wider.length && random.chance(0.4) ? random.pick(wider) : type;
  }

  directives() {
    const { random } = this;
    let text = "";
    for (const directive of ["skip", "include"]) {
      if (!random.chance(0.06)) continue;
      const argument = this.schema.getDirective(directive).args[0];
      text += ` @${directive}(if: ${this.value(argument, 0)})`;
    }
    return text;
  }

  /** A value for an argument or an input field. */
  value(place, depth) {
    const { random } = this;
    if (random.chance(0.3) || getNamedType(place.type).name === "Secret") return this.variable(place, depth);
    return this.literal(place.type, depth);
  }

  /** Declares a variable that fits there, and answers it. */
  variable({ type, defaultValue }, depth) {
    const { random } = this;
    const secret = getNamedType(type).name === "Secret";
    const name = this.name("v");
    let declared = `${type}`;
    let initial = "";
    if (!isNonNullType(type)) {
      if (random.chance(0.3)) declared += "!";
    } else if (!secret && random.chance(0.3)) {
      declared = `${getNullableType(type)}`;
      if (defaultValue === undefined || random.chance(0.5)) initial = ` = ${this.constant(type, depth)}`;
    }
    if (!secret && !initial && random.chance(0.2)) initial = ` = ${this.constant(type, depth)}`;
    this.variables.set(name, `$${name}: ${declared}${initial}`);
    return `$${name}`;
  }

  constant(type, depth) {
    return this.literal(type, depth, { constant: true });
  }

  /** A literal; a `constant` one has neither variables nor nulls in it. */
  literal(type, depth, { constant = false } = {}) {
    const { random } = this;
    if (!isNonNullType(type) && random.chance(0.1) && !constant) return "null";
    const nullable = getNullableType(type);
    if (isListType(nullable)) {
      const inner = nullable.ofType;
      // One value stands for a list of it.
      if (random.chance(0.2)) return this.literal(inner, depth + 1, { constant: true });
      const items = Array.from({ length: random.int(0, 3) }, () =>
        constant ? this.literal(inner, depth + 1, { constant }) : this.value({ type: inner }, depth + 1),
      );
      return `[${items.join(random.pick([", ", " "]))}]`;
    }
    if (isEnumType(nullable)) return random.pick(nullable.getValues()).name;
    if (isInputObjectType(nullable)) {
      const fields = Object.values(nullable.getFields()).filter(
        (field) => (isNonNullType(field.type) && field.defaultValue === undefined) || (depth < 3 && random.chance(0.3)),
      );
      const texts = fields.map((field) => {
        const value = constant ? this.literal(field.type, depth + 1, { constant }) : this.value(field, depth + 1);
        return `${field.name}: ${value}`;
      });
      return `{${texts.join(random.pick([", ", " "]))}}`;
    }
    switch (nullable.name) {
      case "Int":
        return random.pick(INTS);
      case "Boolean":
        return random.pick(["true", "false"]);
      case "ID":
        return random.pick(IDS);
      case "String":
        return random.pick(STRINGS);
      case "DateTime":
        return '"2024-02-29T12:00:00.000Z"';
      case "URL":
        return '"https://example.com/back?tab=1"';
      case "JSON":
        return random.pick(JSONS);
      case "Secret":
        // Only within a constant: the gateway refuses literal secrets, so callers leave such documents out.
        return '"secret"';
      default:
        throw new Error(`no literals are known of ${nullable.name}`);
    }
  }

  name(prefix) {
    this.names += 1;
    return `${prefix}${this.names}`;
  }
}

function fieldsOf(type) {
  return Object.values(type.getFields());
}
