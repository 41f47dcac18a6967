// Judges requests by an IAM policy evaluator that is not ours: `node evaluate.mjs <its module>`, an array of simulations on
// standard input, an array of verdicts on standard output.
import { pathToFileURL } from 'node:url'

const { runSimulation } = await import(pathToFileURL(process.argv[2]))
let text = ''
for await (const chunk of process.stdin) text += chunk
const verdicts = []
for (const { request, sessionPolicy, resourcePolicy } of JSON.parse(text)) {
  const everything = { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } }
  const verdict = await runSimulation(
    {
      request,
      sessionPolicy,
      resourcePolicy: resourcePolicy ?? undefined,
      identityPolicies: [{ name: 'role', policy: everything }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    { simulationMode: 'Strict' },
  )
  verdicts.push(verdict.overallResult ?? JSON.stringify(verdict))
}
console.log(JSON.stringify(verdicts))
