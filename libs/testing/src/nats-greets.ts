import { connect } from 'node:net';

/** Does a NATS greet on this port of 127.0.0.1? */
export const natsGreets = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => end(false)).once('error', () => end(false)).once('data', (data) => end(data.toString().startsWith('INFO ')));
  });
