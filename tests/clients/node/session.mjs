// What a program written for the official JavaScript client does with assistants and runs, unchanged.
//
// The server and the key stand in OPENAI_BASE_URL and OPENAI_API_KEY. Prints one JSON object: the result
// of every step by its name. Which answers the model gives, the test has settled beforehand.

import OpenAI from 'openai';

const client = new OpenAI({ maxRetries: 0 });
const steps = {};

const textOf = (message) => message.content.map((part) => part.text.value).join('');

const weather = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather in a place',
    parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'] },
  },
};

const assistant = await client.beta.assistants.create({
  model: 'a-model',
  name: 'Forecaster',
  instructions: 'Answer in one sentence.',
  tools: [weather],
});
steps.assistant = { name: assistant.name, tools: assistant.tools.map((tool) => tool.function.name) };

// A run that is polled.
const thread = await client.beta.threads.create({ messages: [{ role: 'user', content: 'Good morning' }] });
const polled = await client.beta.threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
const page = await client.beta.threads.messages.list(thread.id, { order: 'asc' });
steps.polled = {
  status: polled.status,
  usage: polled.usage.total_tokens,
  messages: page.data.map((message) => [message.role, textOf(message)]),
};

// A run that is streamed, through AssistantStream and its events.
await client.beta.threads.messages.create(thread.id, { role: 'user', content: 'And now?' });
const seen = { deltas: [], created: 0, done: 0, steps: [] };
const stream = client.beta.threads.runs
  .stream(thread.id, { assistant_id: assistant.id })
  .on('textCreated', () => (seen.created += 1))
  .on('textDelta', (delta) => seen.deltas.push(delta.value))
  .on('textDone', () => (seen.done += 1))
  .on('runStepDone', (step) => seen.steps.push([step.type, step.status]));
const final = await stream.finalRun();
const messages = await stream.finalMessages();
steps.streamed = {
  ...seen,
  joined: seen.deltas.join(''),
  status: final.status,
  text: messages.map(textOf),
};

// A run that asks for a function twice at once, and goes on with the outputs, streamed.
await client.beta.threads.messages.create(thread.id, { role: 'user', content: 'The weather?' });
const asking = client.beta.threads.runs.stream(thread.id, { assistant_id: assistant.id });
const calls = [];
asking.on('toolCallDone', (call) => calls.push([call.function.name, call.function.arguments]));
const waiting = await asking.finalRun();
const required = waiting.required_action.submit_tool_outputs.tool_calls;
const going = client.beta.threads.runs.submitToolOutputsStream(thread.id, waiting.id, {
  tool_outputs: required.map((call) => ({ tool_call_id: call.id, output: `sunny: ${call.function.arguments}` })),
});
const over = await going.finalRun();
const answers = await going.finalMessages();
steps.called = {
  waiting: waiting.status,
  required: required.map((call) => JSON.parse(call.function.arguments).place),
  calls,
  status: over.status,
  text: answers.map(textOf),
};

// What is wrong is an error of the client's own class.
try {
  await client.beta.threads.runs.create(thread.id, { assistant_id: 'asst_unknown' });
} catch (error) {
  steps.refused = { class: error.constructor.name, status: error.status, message: error.error.message };
}

console.log(JSON.stringify(steps));
