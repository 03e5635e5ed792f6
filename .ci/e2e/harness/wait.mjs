// Waiting, never for longer than makes sense.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE = 60_000; // says that something never comes, and not how busy the machine is

/** Waits until condition() is true. what says what that means. */
export async function until(condition, what = String(condition), ms = PATIENCE) {
  const deadline = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`waited ${ms} ms in vain for ${what}`);
    await sleep(2);
  }
}

/** The promise's result, if it comes in time. what says what it is. */
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
