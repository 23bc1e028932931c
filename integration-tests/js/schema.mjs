// Validates JSON-RPC traffic against Starknet's OpenRPC files: a request's parameters, a response's result, and
// that an error is one which the method may answer.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import Ajv from 'ajv';

// Errors that JSON-RPC itself defines; any method may answer them.
const JSON_RPC_ERRORS = new Set([-32700, -32600, -32601, -32602, -32603]);

// The OpenRPC files refer to each other by the paths of the repository they come from.
function documentId(name) {
  return `spec:/${name}`;
}

// The alternatives of a `oneOf` overlap there: a closed block has every field that a pre-confirmed one must have. So
// what fits one of them fits.
const RENAMED = { oneOf: 'anyOf' };

function absoluteRefs(value, document) {
  if (Array.isArray(value)) return value.map((item) => absoluteRefs(item, document));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (key !== '$ref' || typeof item !== 'string') return [RENAMED[key] ?? key, absoluteRefs(item, document)];
      const [file, fragment] = item.split('#');
      return [key, `${documentId(file ? path.basename(file) : document)}#${fragment ?? ''}`];
    }),
  );
}

export class Specification {
  constructor(folder) {
    this.ajv = new Ajv({ strict: false, allErrors: false, validateFormats: false });
    this.documents = new Map();
    this.methods = new Map();
    this.validators = new Map();
    for (const name of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      const document = absoluteRefs(JSON.parse(readFileSync(path.join(folder, name), 'utf8')), name);
      this.documents.set(documentId(name), document);
      this.ajv.addSchema({ $id: documentId(name), components: document.components });
      for (const method of document.methods ?? []) this.methods.set(method.name, method);
    }
  }

  resolve(reference) {
    const [document, pointer] = reference.$ref.split('#');
    return pointer
      .split('/')
      .slice(1)
      .reduce((node, key) => node?.[key], this.documents.get(document));
  }

  dereference(node) {
    let current = node;
    while (current && current.$ref) current = this.resolve(current);
    return current;
  }

  validator(key, schema) {
    let validate = this.validators.get(key);
    if (!validate) {
      validate = this.ajv.compile(schema);
      this.validators.set(key, validate);
    }
    return validate;
  }

  explain(validate, value) {
    const [error] = validate.errors;
    const at = error.instancePath || '(top)';
    const shown = JSON.stringify(value);
    return `${at} ${error.message} ${JSON.stringify(error.params)} in ${shown.length > 600 ? `${shown.slice(0, 600)}…` : shown}`;
  }

  // What is wrong with a request's parameters: a list of sentences.
  requestProblems(request) {
    const method = this.methods.get(request.method);
    if (!method) return [];
    const problems = [];
    const params = method.params.map((param) => this.dereference(param));
    params.forEach((param, index) => {
      const given = Array.isArray(request.params) ? request.params[index] : request.params?.[param.name];
      if (given === undefined) {
        if (param.required) problems.push(`request without ${param.name}`);
        return;
      }
      const validate = this.validator(`${request.method}/params/${param.name}`, param.schema);
      if (!validate(given)) problems.push(`request ${param.name}: ${this.explain(validate, given)}`);
    });
    return problems;
  }

  // What is wrong with the answer to something that is no request.
  refusalProblems(response) {
    const code = response?.error?.code;
    if (response?.jsonrpc === '2.0' && 'id' in response && !('result' in response) && JSON_RPC_ERRORS.has(code)) return [];
    return [`what is no request is refused with an error of JSON-RPC, not ${JSON.stringify(response)}`];
  }

  // What is wrong with a response: a list of sentences.
  responseProblems(request, response) {
    const problems = [];
    if (response.jsonrpc !== '2.0') problems.push('response without jsonrpc "2.0"');
    if (JSON.stringify(response.id) !== JSON.stringify(request.id)) problems.push('response with another id');
    if (('result' in response) === ('error' in response)) {
      problems.push('response needs exactly one of result and error');
      return problems;
    }
    const method = this.methods.get(request.method);
    if (!method) {
      if (response.error?.code !== -32601) problems.push('a method outside the specification is not found (-32601)');
      return problems;
    }
    if ('result' in response) {
      const result = this.dereference(method.result);
      const validate = this.validator(`${request.method}/result`, result.schema);
      if (!validate(response.result)) problems.push(`result: ${this.explain(validate, response.result)}`);
      return problems;
    }
    const { code, message } = response.error;
    if (!Number.isInteger(code) || typeof message !== 'string') {
      problems.push('error needs an integer code and a message');
      return problems;
    }
    if (JSON_RPC_ERRORS.has(code)) return problems;
    const named = (method.errors ?? []).map((error) => this.dereference(error)).find((error) => error?.code === code);
    if (!named) {
      problems.push(`error ${code} (${message}) is not one that the specification gives this method`);
    } else if (named.message !== message) {
      problems.push(`error ${code} says "${message}", the specification "${named.message}"`);
    } else if (named.data && typeof named.data === 'object') {
      const validate = this.validator(`${request.method}/error/${code}`, named.data);
      if (!validate(response.error.data)) problems.push(`error ${code} data: ${this.explain(validate, response.error.data)}`);
    }
    return problems;
  }
}
