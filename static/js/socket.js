// The one connection for live data: reconnects, notices gaps, and polls while it is away.

import { api } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const SILENT_AFTER_MS = 5000;
const POLL_MS = 5000;
const PING_MS = 20000;
const PONG_MS = 10000;

export class Live {
  // `polls`: channel -> address that answers the channel's snapshot while the socket is away.
  constructor() {
    this.handlers = new Map();
    this.polls = new Map();
    this.seq = new Map();
    this.states = new Set();
    this.state = "connecting";
    this.wait = FIRST_WAIT_MS;
    this.lostAt = Date.now();
    this.lastDataAt = null;
    this.retryAt = null;
    this.open();
    setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.visibility());
    window.addEventListener("online", () => this.retryNow());
  }

  // handler(kind, data): kind is "snapshot" or "update".
  on(channel, handler, { poll = null } = {}) {
    if (!this.handlers.has(channel)) this.handlers.set(channel, new Set());
    this.handlers.get(channel).add(handler);
    if (poll) this.polls.set(channel, poll);
    this.subscribe([channel]);
  }

  onState(handler) {
    this.states.add(handler);
    handler(this);
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.retryAt = null;
    this.socket = new WebSocket(`${scheme}://${location.host}/ws/`);
    this.socket.addEventListener("open", () => {
      this.wait = FIRST_WAIT_MS;
      this.pongAt = Date.now();
      this.pingAt = Date.now();
      this.subscribe([...this.handlers.keys()]);
    });
    this.socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener("close", (event) => this.closed(event));
  }

  subscribe(channels) {
    if (document.hidden && this.parked) return;
    if (channels.length && this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "subscribe", channels }));
    }
  }

  take(frame) {
    this.pongAt = Date.now();
    if (frame.type !== "snapshot" && frame.type !== "update") {
      if (frame.type === "error" && frame.code === "unavailable") {
        setTimeout(() => this.subscribe([...this.handlers.keys()]), 2000);
      }
      return;
    }
    const last = this.seq.get(frame.channel);
    if (frame.type === "update" && last === undefined) return;
    if (frame.type === "update" && frame.seq !== last + 1) {
      this.seq.delete(frame.channel); // something was missed: start again from a snapshot
      this.subscribe([frame.channel]);
      return;
    }
    this.seq.set(frame.channel, frame.seq);
    this.lastDataAt = Date.now();
    this.become("live");
    this.tell(frame.channel, frame.type, frame.data);
  }

  tell(channel, kind, data) {
    for (const handler of this.handlers.get(channel) ?? []) handler(kind, data);
  }

  closed(event) {
    this.seq.clear();
    if (this.state === "live" || this.lostAt === null) this.lostAt = Date.now();
    if (event.code === 4001) {
      this.become("signed-out");
      return;
    }
    if (this.state !== "polling") this.become("lost");
    const jitter = 0.75 + Math.random() / 2;
    const wait = this.wait * jitter;
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    this.retryAt = Date.now() + wait;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  retryNow() {
    if (this.socket.readyState === WebSocket.OPEN) {
      this.seq.clear();
      this.subscribe([...this.handlers.keys()]);
    } else if (this.socket.readyState === WebSocket.CLOSED) {
      clearTimeout(this.timer);
      this.wait = FIRST_WAIT_MS;
      this.open();
    }
    this.poll();
  }

  tick() {
    const now = Date.now();
    if (this.socket.readyState === WebSocket.OPEN) {
      if (now - this.pingAt > PING_MS) {
        this.pingAt = now;
        this.socket.send('{"type":"ping"}');
      }
      if (this.pingAt > this.pongAt && now - this.pingAt > PONG_MS) this.socket.close();
    }
    const away = this.state === "lost" || this.state === "polling" || this.state === "connecting";
    if (away && now - this.lostAt > SILENT_AFTER_MS && !document.hidden) {
      if (now - (this.polledAt ?? 0) >= POLL_MS) this.poll();
    }
    for (const handler of this.states) handler(this);
  }

  async poll() {
    if (this.state === "live" || this.state === "signed-out") return;
    this.polledAt = Date.now();
    for (const [channel, address] of this.polls) {
      if (!this.handlers.has(channel)) continue;
      const answer = await api("GET", address);
      if (this.state === "live") return;
      if (answer.status === 401 || answer.status === 403) return this.become("signed-out");
      if (!answer.ok) continue;
      this.become("polling");
      this.lastDataAt = Date.now();
      this.tell(channel, "snapshot", answer.body.results ?? answer.body);
    }
  }

  become(state) {
    if (state === "live") this.lostAt = null;
    if (state === this.state) return;
    this.state = state;
    for (const handler of this.states) handler(this);
  }

  // A hidden page needs no prices; it starts again from a snapshot when it is looked at.
  visibility() {
    const heavy = [...this.handlers.keys()].filter((name) => name !== "status");
    if (this.socket.readyState !== WebSocket.OPEN || !heavy.length) return;
    clearTimeout(this.parkTimer);
    if (document.hidden) {
      this.parkTimer = setTimeout(() => {
        this.parked = true;
        for (const name of heavy) this.seq.delete(name);
        if (this.socket.readyState === WebSocket.OPEN) {
          this.socket.send(JSON.stringify({ type: "unsubscribe", channels: heavy }));
        }
      }, 10000);
    } else if (this.parked) {
      this.parked = false;
      this.subscribe(heavy);
    }
  }
}
