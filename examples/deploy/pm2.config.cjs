// pm2 kills after 1.6 s unless told otherwise, with SIGINT first; on Windows only the message arrives.
module.exports = {
  apps: [
    {
      name: 'orders',
      script: 'server.js',
      exec_mode: 'fork',
      kill_timeout: 30_000,
      shutdown_with_message: true,
      // Then the service says `process.send?.('ready')` behind `await data.init()`.
      wait_ready: true,
      listen_timeout: 60_000,
    },
  ],
}
