// The page "Add to a taken time": only the patient is looked for while typing.
import { patientField } from "./desk-patient.js";

const form = document.querySelector("[data-overbook-form]");
if (form) patientField(form);
