import { connect } from 'node:net';

const ANSWER_MS = 500;

/** Sends inline commands to a local server and reads until `verdict` knows; false where it does not answer. Before any client can be used: it may still be starting. */
export const askRedis = (port: number, commands: readonly string[], verdict: (text: string) => boolean | undefined): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(commands.map((command) => `${command}\r\n`).join('')));
    let text = '';
    const finish = (isUp: boolean): void => {
      socket.destroy();
      done(isUp);
    };
    socket.setTimeout(ANSWER_MS, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('end', () => finish(false));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const answer = verdict(text);
      if (answer !== undefined) finish(answer);
    });
  });
