// Judges requests by an IAM policy evaluator that is not ours: `node evaluate.mjs <its module>`, an array of simulations on
// standard input, an array of verdicts on standard output. Without identity policies of its own, the role may do everything.
import { pathToFileURL } from 'node:url'

const { runSimulation } = await import(pathToFileURL(process.argv[2]))
let text = ''
for await (const chunk of process.stdin) text += chunk
const verdicts = []
for (const { request, sessionPolicy, resourcePolicy, identityPolicies } of JSON.parse(text)) {
  const everything = { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } }
  const verdict = await runSimulation(
    {
      request,
      sessionPolicy: sessionPolicy ?? undefined,
      resourcePolicy: resourcePolicy ?? undefined,
      identityPolicies: identityPolicies ?? [{ name: 'role', policy: everything }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    { simulationMode: 'Strict' },
  )
  verdicts.push(verdict.overallResult ?? JSON.stringify(verdict))
}
console.log(JSON.stringify(verdicts))
