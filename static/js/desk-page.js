// What the desk's calendar page loads: the calendar, then what acts on it. Modules are tagged nowhere else, or the
// browser would take the hashed and the plain address for two modules.
import "./desk.js";
import "./desk-head.js";
import "./desk-book.js";
import "./desk-acts.js";
import "./desk-print.js";
import "./desk-move.js";
import "./desk-block.js";
