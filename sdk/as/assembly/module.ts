// The modules that a plugin registers by name, of which its processes are.
import { crash } from "./crash";
import { Record } from "./record";

/** The code of a process. */
export abstract class Body {
  abstract handle(e: Record): void;
}

/** A module, which makes the code of a process. */
export abstract class Module {
  constructor(readonly name: string) {}
  abstract create(): Body;
}

const modules: Module[] = [];

/** Registers a module. */
export function addModule(module: Module): void {
  if (findModule(module.name)) crash("module " + module.name + " is registered twice; rename one of them");
  modules.push(module);
}

export function findModule(name: string): Module | null {
  for (let i = 0; i < modules.length; i++) {
    if (modules[i].name == name) return modules[i];
  }
  return null;
}

export function noModule(name: string): string {
  return "no module " + name;
}
