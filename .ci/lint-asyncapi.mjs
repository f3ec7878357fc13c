// Holds docs/asyncapi.yaml to AsyncAPI's specification, by its own parser.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
const [, , modules, file] = process.argv
const { Parser } = createRequire(modules + '/')('@asyncapi/parser')
const { document, diagnostics } = await new Parser().parse(readFileSync(file, 'utf8'))
const wrong = diagnostics.filter(d => d.severity <= 1) // errors and warnings
for (const d of wrong) console.error(`${file}:${d.range.start.line + 1}: ${d.message} (${d.code}, at ${d.path.join('.')})`)
if (!document || wrong.length > 0) process.exit(1)
console.log(`${file}: ${document.operations().all().length} operations, ${document.messages().all().length} messages, as AsyncAPI ${document.version()} asks for`)
