// What people do with OpenAI's npm client, case by case: the twin of cases.py, with the same results.
//
//   node client.mjs BASE_URL KEY
//
// One line of JSON for each case: {"case", "result"} or {"case", "error"}.

import { File } from 'node:buffer';
import { createHash } from 'node:crypto';
import net from 'node:net';
import OpenAI, { toFile } from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { ResponsesWS } from 'openai/resources/responses/ws';

globalThis.File ??= File; // node 18 has it, but not there
const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });

const MODEL = 'gpt-4o-mini';
const FUNCTION = {
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
  strict: true,
};
const TOOL = { type: 'function', function: FUNCTION };
const PERSON = {
  type: 'json_schema',
  json_schema: {
    name: 'Person',
    strict: true,
    schema: {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' } },
      required: ['name', 'age'],
      additionalProperties: false,
    },
  },
};

const BYTES = Buffer.from([...Array(256).keys()]);
const AUDIO = Buffer.concat([Buffer.from('ID3'), ...Array(64).fill(BYTES)]);
const PICTURE = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), BYTES]);

const said = (content) => [{ role: 'user', content }];
const digest = (data) => createHash('sha256').update(data).digest('hex');

// Fails when nothing comes of it: a socket that nobody answers keeps no program alive.
async function within(seconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${seconds} s`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function all(iterable) {
  const found = [];
  for await (const one of iterable) found.push(one);
  return found;
}

const CASES = {
  async chat() {
    const answer = await client.chat.completions.create({ model: MODEL, messages: said('Say something nice.') });
    return [answer.choices[0].message.content, answer.usage.total_tokens];
  },

  async chat_stream() {
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: said('Stream it.'),
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await all(stream);
    const text = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? '').join('');
    return [text, chunks.at(-1).usage.total_tokens];
  },

  async chat_tools() {
    const messages = said('How is the weather in Paris?');
    const answer = await client.chat.completions.create({ model: MODEL, messages, tools: [TOOL] });
    const message = answer.choices[0].message;
    const call = message.tool_calls[0];
    messages.push(message, { role: 'tool', tool_call_id: call.id, content: 'sunny' });
    const after = await client.chat.completions.create({ model: MODEL, messages, tools: [TOOL] });
    return [call.function.name, call.function.arguments, after.choices[0].message.content];
  },

  async chat_tools_stream() {
    const stream = client.chat.completions.stream({
      model: MODEL,
      messages: said('And in a stream?'),
      tools: [TOOL],
      stream_options: { include_usage: true },
    });
    const calls = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
    return calls.map((call) => [call.function.name, call.function.parsed_arguments]);
  },

  async chat_parse() {
    const answer = await client.chat.completions.parse({
      model: MODEL,
      messages: said('Who was the first programmer?'),
      response_format: PERSON,
    });
    return JSON.parse(answer.choices[0].message.content);
  },

  async responses() {
    const answer = await client.responses.create({ model: MODEL, input: 'Say something nice.', store: false });
    return [answer.id, answer.output_text, answer.usage.total_tokens];
  },

  async responses_stream() {
    const stream = client.responses.stream({ model: MODEL, input: 'Stream it.' });
    const types = (await all(stream)).map((event) => event.type);
    return [types, (await stream.finalResponse()).output_text];
  },

  async responses_parse() {
    const { name, strict, schema } = PERSON.json_schema;
    const answer = await client.responses.parse({
      model: MODEL,
      input: 'Who was she?',
      text: { format: { type: 'json_schema', name, strict, schema } },
    });
    return JSON.parse(answer.output_text);
  },

  async responses_tools() {
    const tools = [{ type: 'function', ...FUNCTION }];
    const [call] = (await client.responses.create({ model: MODEL, input: 'The weather?', tools })).output;
    return [call.type, call.name, call.arguments];
  },

  async embeddings() {
    const answer = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] });
    return answer.data.map((one) => one.embedding);
  },

  async files() {
    const lines = Buffer.concat([Buffer.from('{"custom_id": "1"}\n'.repeat(5000)), BYTES]);
    const file = await client.files.create({ file: await toFile(lines, 'data.jsonl'), purpose: 'batch' });
    const listed = (await all(client.files.list({ purpose: 'batch' }))).map((one) => one.id);
    const shown = await client.files.retrieve(file.id);
    const back = Buffer.from(await (await client.files.content(file.id)).arrayBuffer());
    const deleted = await client.files.delete(file.id);
    return [file.bytes, listed, shown.filename, digest(back), back.equals(lines), deleted.deleted];
  },

  async speech() {
    const answer = await client.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: 'Hello.' });
    const sound = Buffer.from(await answer.arrayBuffer());
    return [answer.headers.get('content-type'), digest(sound), sound.equals(AUDIO)];
  },

  async transcription() {
    const answer = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await toFile(AUDIO, 'hello.mp3'),
      include: ['logprobs'],
      chunking_strategy: { type: 'server_vad', silence_duration_ms: 200 },
    });
    return answer.text;
  },

  async transcription_stream() {
    const stream = await client.audio.transcriptions.create({
      model: 'gpt-4o-transcribe',
      file: await toFile(AUDIO, 'hello.mp3'),
      stream: true,
    });
    return (await all(stream)).map((event) => event.type);
  },

  async image() {
    const answer = await client.images.generate({ model: 'gpt-image-1', prompt: 'A square.', size: '1024x1024' });
    return answer.data.map((one) => one.b64_json);
  },

  async image_edit() {
    const image = [await toFile(PICTURE, 'one.png'), await toFile(PICTURE, 'two.png')];
    const answer = await client.images.edit({ model: 'gpt-image-1', image, prompt: 'Two squares.' });
    return answer.data.map((one) => one.b64_json.length);
  },

  async batches() {
    const file = await client.files.create({ file: await toFile('{}\n', 'batch.jsonl'), purpose: 'batch' });
    const batch = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { night: '1' },
    });
    const shown = await client.batches.retrieve(batch.id);
    const listed = (await all(client.batches.list({ limit: 10 }))).map((one) => one.id);
    const cancelled = await client.batches.cancel(batch.id);
    return [batch.id, shown.metadata, listed, cancelled.status];
  },

  async vector_stores() {
    const file = await client.files.create({ file: await toFile('water is wet', 'facts.txt'), purpose: 'assistants' });
    const store = await client.vectorStores.create({ name: 'facts' });
    const attached = await client.vectorStores.files.create(store.id, { file_id: file.id });
    const hits = await all(client.vectorStores.search(store.id, { query: 'water' }));
    const deleted = await client.vectorStores.delete(store.id);
    return [store.id, attached.status, hits.map((hit) => hit.content[0].text), deleted.deleted];
  },

  async moderations() {
    return (await client.moderations.create({ input: 'I could kill for a coffee.' })).results[0].flagged;
  },

  async models() {
    const listed = (await all(client.models.list())).map((model) => model.id);
    return [listed, (await client.models.retrieve(MODEL)).id];
  },

  async not_found() {
    try {
      return await client.files.retrieve('file-of-nobody');
    } catch (error) {
      return [error.constructor.name, error.status];
    }
  },

  // This client always says wss://; the connection itself is a plain one.
  async realtime() {
    const createConnection = () => net.connect(Number(new URL(baseURL).port), '127.0.0.1');
    const socket = new OpenAIRealtimeWS({ model: 'gpt-realtime', options: { createConnection } }, client);
    const [types, texts] = [[], []];
    const turns = ['Hello', 'Bye'];
    const turn = (text) => {
      const content = [{ type: 'input_text', text }];
      socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
      socket.send({ type: 'response.create' });
    };
    await new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.socket.on('close', resolve);
      socket.socket.on('open', () => {
        socket.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'] } });
        turn(turns.shift());
      });
      socket.on('event', (event) => {
        types.push(event.type);
        if (event.type === 'response.output_text.done') texts.push(event.text);
        if (event.type !== 'response.done') return;
        if (turns.length) turn(turns.shift());
        else socket.close();
      });
    });
    return [types, texts];
  },

  async realtime_secret() {
    const session = { type: 'realtime', model: 'gpt-realtime' };
    return (await client.realtime.clientSecrets.create({ session })).value;
  },

  async responses_socket() {
    const socket = new ResponsesWS(client);
    const types = [];
    const turns = ['Hello', 'Bye'];
    const turn = () => socket.send({ type: 'response.create', model: MODEL, input: turns.shift() });
    await new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('event', (event) => {
        types.push(event.type);
        if (event.type !== 'response.completed') return;
        if (turns.length) turn();
        else resolve(socket.close());
      });
      turn();
    });
    return types;
  },
};

for (const [name, play] of Object.entries(CASES)) {
  let line;
  try {
    line = { case: name, result: await within(15, play()) };
  } catch (error) {
    line = { case: name, error: `${error.constructor.name}: ${error.message}` };
  }
  console.log(JSON.stringify(line));
}
process.exit(0);
